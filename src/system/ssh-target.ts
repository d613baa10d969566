import type { CommandLine } from './command.ts';
import { requireProgram } from './find-program.ts';
import type { SshTarget } from './ssh.ts';

/** A host to reach, as the INI files write it. */
export interface SshPlace {
  readonly host: string;
  /** What the host is in messages, such as `the primary`. */
  readonly what: string;
  readonly user: string;
  readonly ssh: CommandLine;
  readonly ssh_timeout: number;
}

/**
 * The one way from an INI to a connection: ssh is looked up on `includepath`, whoever wants to connect. Rejects with a PitrError
 * that names the key where there is no such program.
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
