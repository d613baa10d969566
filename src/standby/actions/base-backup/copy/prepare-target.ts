import { join } from 'node:path';
import { messageOf, PitrError } from '../../../../errors.ts';
import { systemErrorCode } from '../../../../system/durable.ts';
import { chmod, mkdir, removeTree } from '../../../../system/files.ts';
import { type BackupContext, runOnCopy } from '../context.ts';
import { comparisonFor } from './comparison.ts';
import { type CopyRoot, localPath, type PlannedDirectory, type SurveyedRoot } from './planned-files.ts';

/** A file that was written at the time of the last backup may have changed again without getting a newer time. */
const clockTickMs = 2_000;

/**
 * Resets the times of files that may still have been written while the last backup copied them. Otherwise such a file
 * could have the same time before and after a change, and a comparison by time would miss the change.
 */
async function distrustRecentTimes(context: BackupContext, places: readonly string[]): Promise<void> {
  const { deps, facts } = context;
  if (places.length === 0) return;
  const startTime = Date.parse(facts.record.backup?.startTime ?? '');
  if (Number.isNaN(startTime)) return;
  const since = `@${Math.floor((startTime - clockTickMs) / 1000)}`;
  const args = [...places, '-type', 'f', '-newermt', since, '-exec', 'touch', '-d', '@0', '--', '{}', '+'];
  await runOnCopy(deps, { program: 'find', args }, `cannot prepare ${places.join(', ')}`);
}

/** The paths in pgdata that the server writes. The DBA's own files keep their times. */
function serverPlaces({ kind, target, directories, files }: CopyRoot): readonly string[] {
  if (kind === 'tablespace') return [target];
  const isServers = (name: string) =>
    /^(base|global|pg_(?!wal|xlog|log|hba|ident).*|postgresql\.auto\.conf)$/.test(name);
  return [...directories, ...files].flatMap(({ path }) => (isServers(path) ? [join(target, path)] : []));
}

/** The directories are in the order of a walk: each comes after its parent. */
async function makeDirectory(target: string, { path, mode }: PlannedDirectory): Promise<void> {
  const place = localPath(target, path);
  try {
    await mkdir(place, { mode: 0o700 });
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') throw error;
  }
  // Only we may write there, whatever mode the directory has on the primary.
  await chmod(place, (mode & 0o755) | 0o700);
}

async function prepareRoot({ deps }: BackupContext, root: SurveyedRoot): Promise<void> {
  for (const path of root.here.superfluous) await removeTree(localPath(root.target, path));
  deps.signal.throwIfAborted();
  for (const directory of root.directories) await makeDirectory(root.target, directory);
  for (const path of root.here.unwritable) await chmod(localPath(root.target, path), 0o600);
}

/** Removes the entries that the primary does not have, and makes the primary's directories. */
export async function prepareTargets(context: BackupContext, roots: readonly SurveyedRoot[]): Promise<void> {
  for (const root of roots) {
    try {
      await prepareRoot(context, root);
    } catch (error) {
      if (error instanceof PitrError) throw error;
      throw new PitrError(`cannot prepare "${root.target}"`, { detail: messageOf(error), cause: error });
    }
  }
  if (comparisonFor(context.facts) === 'times')
    await distrustRecentTimes(context, roots.flatMap(serverPlaces));
}
