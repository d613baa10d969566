import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { PitrError } from '../../errors.ts';
import { describeResult, succeeded } from '../../system/command.ts';
import { ensureDirectory } from '../../system/durable.ts';
import { tablespaceFolder, type TablespaceTarget } from '../tablespaces.ts';
import { failure, type BackupContext } from './context.ts';
import { copyDatabasesApart } from './copy-databases.ts';
import { dataRules, tablespaceRules } from './copy-rules.ts';
import { copyTree } from './copy-tree.ts';
import type { Comparison } from './plan.ts';

/** Files that were written when the last backup looked at them may have changed again without a newer time. */
const clockTickMs = 2_000;

/**
 * Takes the times away of files that the last backup copied while they may still have been written: with the same
 * time before and after such a change, a comparison by time would miss it.
 */
async function distrustRecentTimes(context: BackupContext, roots: readonly string[]): Promise<void> {
  const { deps, facts } = context;
  if (roots.length === 0) return;
  const startTime = Date.parse(facts.record.backup?.startTime ?? '');
  if (Number.isNaN(startTime)) return;
  const since = `@${Math.floor((startTime - clockTickMs) / 1000)}`;
  const args = [...roots, '-type', 'f', '-newermt', since, '-exec', 'touch', '-d', '@0', '--', '{}', '+'];
  const result = await deps.run(
    { program: 'find', args },
    { limitMs: deps.settings.base_backup_timeout * 1000, signal: deps.signal },
  );
  if (succeeded(result)) return;
  throw failure(deps, new PitrError(`cannot prepare ${roots.join(', ')}: find: ${describeResult(result)}`));
}

/** What the server writes in pgdata; the DBA's own files keep their times. */
async function serverFiles(pgdata: string): Promise<readonly string[]> {
  const isServers = (name: string) =>
    /^(base|global|pg_(?!wal|xlog|log|hba|ident).*|postgresql\.auto\.conf)$/.test(name);
  return (await readdir(pgdata)).filter(isServers).map((name) => join(pgdata, name));
}

export async function copyData(context: BackupContext, comparison: Comparison): Promise<void> {
  const { primary, place } = context.facts;
  context.run.isCopyBegun = true;
  if (comparison === 'times') await distrustRecentTimes(context, await serverFiles(place.pgdata));
  const rules = dataRules(place.targets);
  const whole = { source: primary.dataDirectory, target: place.pgdata, rules, comparison };
  if (context.deps.settings.rsync_threads === 1) return copyTree(context, whole);
  return copyDatabasesApart(context, whole);
}

export async function copyTablespace(
  context: BackupContext,
  { location, target }: TablespaceTarget,
  comparison: Comparison,
): Promise<void> {
  const { capabilities, control } = context.facts.primary;
  const folder = tablespaceFolder(capabilities, control);
  const [source, place] =
    folder === undefined ? [location, target] : [`${location}/${folder}`, `${target}/${folder}`];
  await ensureDirectory(place);
  if (comparison === 'times') await distrustRecentTimes(context, [place]);
  await copyTree(context, { source, target: place, rules: tablespaceRules(folder), comparison });
}
