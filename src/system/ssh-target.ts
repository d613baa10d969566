import type { CommandLine } from './command.ts';
import { requireProgram } from './find-program.ts';
import type { SshTarget } from './ssh.ts';

/** A host to connect to, as the INI files write it. */
export interface SshPlace {
  readonly host: string;
  /** The name of the host in messages, such as `the primary`. */
  readonly what: string;
  readonly user: string;
  readonly ssh: CommandLine;
  readonly ssh_timeout: number;
}

/**
 * The only way from an INI file to a connection: it looks up ssh in `includepath` for every caller. Rejects with a
 * PitrError that names the key if there is no such program.
 */
export async function sshTarget(
  place: SshPlace,
  { includepath, ssh_debug }: { readonly includepath: readonly string[]; readonly ssh_debug: boolean },
): Promise<SshTarget> {
  const { host, what, user, ssh, ssh_timeout } = place;
  return {
    host,
    what,
    user,
    ssh: await requireProgram('ssh', ssh, includepath),
    connectTimeoutS: ssh_timeout,
    debug: ssh_debug,
  };
}
