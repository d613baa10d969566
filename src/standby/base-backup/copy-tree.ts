import { PitrError } from '../../errors.ts';
import { describeResult, type CommandResult } from '../../system/command.ts';
import { remotePath, rsyncCommand, rsyncEnvironment, rsyncOutcome } from '../../system/rsync.ts';
import { failure, type BackupContext } from './context.ts';
import type { Comparison } from './plan.ts';

export interface Tree {
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

/** Copies one tree, or says why not: whoever copies several at once wants to know of each. */
async function tryCopy(context: BackupContext, tree: Tree): Promise<PitrError | undefined> {
  let result = await runRsync(context, tree);
  if (isWorthAnotherTry(result)) result = await runRsync(context, tree);
  const outcome = rsyncOutcome(result);
  // Files that go while they are to be copied are a running server's daily life: its WAL tells the same.
  if (outcome.kind === 'vanished')
    context.deps.log.debug(`files vanished during the copy, which is harmless: ${describeResult(result)}`);
  if (outcome.kind === 'whole' || outcome.kind === 'vanished') return undefined;
  return new PitrError(`copying "${tree.source}" to "${tree.target}" failed`, {
    detail: outcome.reason,
    hint: 'Nothing that failed to be copied is left out: put right what rsync names, then run -B again.',
  });
}

export async function copyTree(context: BackupContext, tree: Tree): Promise<void> {
  const error = await tryCopy(context, tree);
  if (error !== undefined) throw failure(context.deps, error);
}

/**
 * Copies many trees, a few at a time. After a failure no further one is begun; every failure is told.
 *
 * @param isGone whether a tree that failed is no longer there on the primary, so that there was nothing to copy
 */
export async function copyTrees(
  context: BackupContext,
  trees: readonly Tree[],
  atOnce: number,
  isGone: (tree: Tree) => Promise<boolean>,
): Promise<void> {
  const waiting = [...trees];
  const errors: PitrError[] = [];
  const work = async (): Promise<void> => {
    for (let tree = waiting.shift(); tree !== undefined && errors.length === 0; tree = waiting.shift()) {
      const error = await tryCopy(context, tree);
      if (error !== undefined && !(await isGone(tree))) errors.push(error);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  const [first, ...others] = errors;
  if (first === undefined) return;
  const detail = [first.detail, ...others.map((other) => `${other.message}: ${other.detail ?? ''}`)];
  throw failure(context.deps, new PitrError(first.message, { detail: detail.join('\n'), hint: first.hint }));
}
