import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { PitrError } from '../../errors.ts';
import { ensureDirectory } from '../../system/durable.ts';
import { describeResult, succeeded, type CommandResult } from '../../system/command.ts';
import { remotePath, rsyncCommand, rsyncEnvironment, rsyncOutcome } from '../../system/rsync.ts';
import { tablespaceFolder, type TablespaceTarget } from '../tablespaces.ts';
import { failure, type BackupContext } from './context.ts';
import { dataRules, tablespaceRules } from './copy-rules.ts';
import type { Comparison } from './plan.ts';

interface Tree {
  /** On the primary; its contents are copied. */
  readonly source: string;
  readonly target: string;
  readonly rules: readonly string[];
  readonly comparison: Comparison;
}

/** rsync gives up when nothing moves for so long; a slow disk may be busy for a while with one large file. */
const leastIoTimeoutS = 120;

/**
 * Archive mode, and no more on the standby than on the primary. A directory that is a link on the primary is copied as
 * a directory: the link would point to nothing here, or to somebody else's data.
 */
const copyFlags = ['-a', '--copy-dirlinks', '--no-specials', '--no-devices', '--delete', '-v', '--stats'];

const comparisonFlags = { times: ['--modify-window=-1'], contents: ['--ignore-times'] } as const;

async function runRsync({ deps, primary, facts }: BackupContext, tree: Tree): Promise<CommandResult> {
  const { program, comparesNanoseconds } = facts.rsync;
  const comparison = comparesNanoseconds ? comparisonFlags[tree.comparison] : comparisonFlags.contents;
  const command = rsyncCommand(primary.shell, program, Math.max(leastIoTimeoutS, deps.settings.ssh_timeout), [
    ...copyFlags,
    ...comparison,
    ...tree.rules,
    `${remotePath(primary.shell, program, tree.source)}/`,
    `${tree.target}/`,
  ]);
  deps.log.debug(`${command.program} ${command.args.join(' ')}`);
  return deps.run(command, {
    limitMs: deps.settings.base_backup_timeout * 1000,
    env: rsyncEnvironment(program),
    signal: deps.signal,
    heldFds: deps.lockFd === undefined ? [] : [deps.lockFd],
    // Asked for even where it is not shown: an rsync that has outlived us ends at the next line that nobody reads.
    onLine: deps.settings.debug ? deps.report : () => undefined,
  });
}

/** A block that changed on the primary between two looks of rsync: the file's checksum does not fit, and rsync says 23. */
function isWorthAnotherTry(result: CommandResult): boolean {
  return rsyncOutcome(result).kind === 'partial' && result.stderr.includes('failed verification');
}

async function copyTree(context: BackupContext, tree: Tree): Promise<void> {
  let result = await runRsync(context, tree);
  if (isWorthAnotherTry(result)) result = await runRsync(context, tree);
  const outcome = rsyncOutcome(result);
  // Files that go while they are to be copied are a running server's daily life: its WAL tells the same.
  if (outcome.kind === 'vanished')
    context.deps.log.debug(`files vanished during the copy, which is harmless: ${describeResult(result)}`);
  if (outcome.kind === 'whole' || outcome.kind === 'vanished') return;
  throw failure(
    context.deps,
    new PitrError(`copying "${tree.source}" to "${tree.target}" failed`, {
      detail: outcome.reason,
      hint: 'Nothing that failed to be copied is left out: put right what rsync names, then run -B again.',
    }),
  );
}

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
  await copyTree(context, { source: primary.dataDirectory, target: place.pgdata, rules, comparison });
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
