/** The archive of a primary: it needs one as soon as it is a standby, and may never have had one. */
import { readdir } from 'node:fs/promises';
import { PitrError } from '../../errors.ts';
import { ensureDirectory, exists, requireHardLinks, requireMakeable } from '../../system/durable.ts';
import { readSentinel, sentinelLockName, sentinelName, updateSentinel } from '../../system/sentinel.ts';
import type { StandbyDeps } from '../deps.ts';
import { isOwnQueueDirectory } from '../follow/new-archive.ts';
import { ownCommand } from '../host/own-command.ts';
import { type Objection, objectionsOf } from '../steps/objections.ts';

/** Files of ours that may lie in an archive in which no WAL has arrived yet. */
const ours: readonly string[] = [sentinelName, sentinelLockName, '.cmd_standby.lock', 'lost+found'];

async function contentObjections(
  archivedir: string,
  cluster: string,
  wasStandby: boolean,
): Promise<readonly Objection[]> {
  const sentinel = await readSentinel(archivedir);
  if (sentinel !== undefined && sentinel.systemIdentifier !== cluster)
    return [
      {
        message: `archivedir "${archivedir}" belongs to cluster ${sentinel.systemIdentifier}, not to ${cluster}`,
        hint: 'Each cluster needs an archivedir of its own: set another one.',
      },
    ];
  if (sentinel !== undefined) return [];
  if (wasStandby)
    return [
      {
        message: `archivedir "${archivedir}" has no usable ${sentinelName}, although this host was a standby already: is its file system mounted?`,
        hint: `Mount it. Only if it is to become a new, empty archive, remove the directory.`,
      },
    ];
  const names = (await readdir(archivedir)).filter((name) => !ours.includes(name));
  if (names.length === 0 || (await isOwnQueueDirectory(archivedir, names, cluster))) return [];
  return [
    {
      message: `archivedir "${archivedir}" has no ${sentinelName} and is not empty`,
      hint: 'Set another one, or move away what is in it if nothing needs that: WAL of this cluster will arrive there.',
    },
  ];
}

/** The obstacles to archivedir as the archive of a standby of this cluster. */
export async function archiveObjections(
  { settings: { archivedir } }: StandbyDeps,
  cluster: string,
  wasStandby: boolean,
): Promise<readonly Objection[]> {
  if (!(await exists(archivedir))) return objectionsOf([() => requireMakeable(archivedir)]);
  let found: readonly Objection[] = [];
  const failed = await objectionsOf([
    async () => {
      found = await contentObjections(archivedir, cluster, wasStandby);
    },
  ]);
  return [...failed, ...found];
}

/** Makes the archive, unless it is there, and marks it as that of this cluster. */
export async function prepareArchive(deps: StandbyDeps, cluster: string): Promise<void> {
  const { archivedir, pgdata } = deps.settings;
  await ensureDirectory(archivedir);
  await requireHardLinks(archivedir, deps.nonce());
  await updateSentinel(deps.run, archivedir, (sentinel) => {
    if (sentinel === undefined)
      return {
        systemIdentifier: cluster,
        standby: deps.hostName,
        primaryPgdata: pgdata,
        promotedAtTimeline: undefined,
        command: ownCommand(deps),
        left: [],
      };
    if (sentinel.systemIdentifier !== cluster)
      throw new PitrError(`archivedir "${archivedir}" belongs to cluster ${sentinel.systemIdentifier}`);
    return { ...sentinel, command: ownCommand(deps) };
  });
}
