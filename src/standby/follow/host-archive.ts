import { addressesOf } from '../../system/own-addresses.ts';
import type { StandbyCommand } from '../../system/sentinel.ts';
import { readRemoteSentinel } from '../../verbs/remote-sentinel.ts';
import type { StandbyDeps } from '../deps.ts';
import { readArchiverPart } from '../host/archiver-part.ts';
import type { Host } from './host.ts';

/** The archive of the host that is followed: it was a standby before, or is one. */
export type ArchiveThere =
  | {
      readonly kind: 'archive';
      readonly directory: string;
      /** How cmd_standby is called there; undefined if its sentinel does not say. */
      readonly command: StandbyCommand | undefined;
    }
  | { readonly kind: 'unusable'; readonly directory: string; readonly reason: string };

const limitMs = 60_000;

/** The path that cmd_archiver of this host has for that standby; else all hosts are taken to be alike. */
async function directoryThere(deps: StandbyDeps, host: string): Promise<string> {
  const part = await readArchiverPart(deps);
  const wanted = [host, ...(await addressesOf(host))];
  for (const target of part.kind === 'ready' ? part.settings.standbys : []) {
    const names = [target.name, target.host, ...(await addressesOf(target.host))];
    if (names.some((name) => wanted.includes(name))) return target.r_archivedir;
  }
  return deps.settings.archivedir;
}

export async function observeArchiveThere(
  deps: StandbyDeps,
  host: string,
  { shell, facts }: Host,
): Promise<ArchiveThere> {
  const directory = await directoryThere(deps, host);
  const read = await readRemoteSentinel(shell, directory, limitMs);
  const unusable = (reason: string): ArchiveThere => ({ kind: 'unusable', directory, reason });
  if (read.kind !== 'read') return unusable(read.reason);
  const { sentinel } = read;
  if (sentinel.systemIdentifier !== facts.systemIdentifier)
    return unusable(`it belongs to cluster ${sentinel.systemIdentifier}`);
  return { kind: 'archive', directory, command: sentinel.command };
}
