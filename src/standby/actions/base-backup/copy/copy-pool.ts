import { messageOf, PitrError } from '../../../../errors.ts';
import { type CommandResult, describeResult } from '../../../../system/command.ts';
import { rsyncOutcome } from '../../../../system/rsync.ts';
import type { RemoteShell } from '../../../../system/ssh.ts';
import { dataWork } from '../../../../verbs/data-requests.ts';
import { originOf } from '../../../primary/origin.ts';
import { type BackupContext, failure, needed } from '../context.ts';
import { flushCopy, flushMeanwhile } from '../pgdata/flush.ts';
import { trackProgress } from '../progress/copy-progress.ts';
import type { Comparison } from './comparison.ts';
import { compressionChoice } from './compression.ts';
import type { FileGroup } from './groups.ts';
import { findLost } from './partial-transfer.ts';
import { type GroupCopy, runGroup } from './rsync-group.ts';
import { addStatistics, type TransferStatistics } from './rsync-output.ts';

/** The part of the bandwidth limit that one worker gets. */
function shareOf(bwlimit: number, workers: number): number | undefined {
  return bwlimit === 0 ? undefined : Math.max(1, Math.floor(bwlimit / workers));
}

/** The state that several workers share while they copy. */
function createPool(context: BackupContext, groups: readonly FileGroup[], comparison: Comparison) {
  const { rsync_threads, basebackup_bwlimit } = context.deps.settings;
  const workers = Math.max(1, Math.min(rsync_threads, groups.length));
  const failing = new AbortController();
  const ended = AbortSignal.any([context.deps.signal, failing.signal]);
  const errors: PitrError[] = [];
  const flush = flushMeanwhile(
    () => flushCopy(context, ended),
    (error) => {
      if (ended.aborted) return;
      const flushError = new PitrError(`cannot flush the copy to the disk: ${messageOf(error)}`);
      errors.push(error instanceof PitrError ? error : flushError);
      failing.abort();
    },
  );
  return {
    context,
    comparison,
    workers,
    waiting: [...groups],
    bwlimit: shareOf(basebackup_bwlimit, workers),
    compression: compressionChoice(needed(context.facts.rsync, 'rsync'), basebackup_bwlimit > 0),
    progress: trackProgress((event) => {
      if (event.kind === 'progress') flush.note(event);
      context.onEvent(event);
    }),
    flush,
    /** Ends every rsync, because the copy has failed already. */
    failing,
    /** Aborted also if the program must stop. */
    ended,
    errors,
    moved: { literal: 0, received: 0 } as TransferStatistics,
  };
}

type Pool = ReturnType<typeof createPool>;

/**
 * Exit status 23 may mean that a block changed on the primary while rsync read the file twice: the checksum of the file
 * is then wrong.
 */
function isWorthAnotherTry(result: CommandResult): boolean {
  return rsyncOutcome(result).kind === 'partial' && result.stderr.includes('failed verification');
}

function copyError({ root }: FileGroup, detail: string): PitrError {
  return new PitrError(`copying "${root.source}" to "${root.target}" failed`, {
    detail,
    hint: 'The copied files are kept, and the next -B transfers only the rest. Correct the problem that rsync reports, then run -B again.',
  });
}

/** `ends-all`: the other workers would fail in the same way, or their work has become useless. */
interface Failed {
  readonly error: PitrError;
  readonly endsAll: boolean;
}

async function judge(pool: Pool, group: FileGroup, result: CommandResult): Promise<Failed | undefined> {
  const outcome = rsyncOutcome(result);
  switch (outcome.kind) {
    case 'whole':
      return undefined;
    case 'vanished':
      // A running server removes files all the time. WAL replay removes them here as well.
      pool.context.deps.log.debug(
        `files vanished during the copy, which is harmless: ${describeResult(result)}`,
      );
      return undefined;
    case 'partial': {
      const lost = await findLost(pool.context, group, result);
      if (lost.length === 0) return undefined;
      return { error: copyError(group, [outcome.reason, ...lost].join('\n')), endsAll: false };
    }
    case 'no-space':
    case 'timeout':
    case 'failed':
      return { error: copyError(group, outcome.reason), endsAll: true };
  }
}

async function copyGroup(pool: Pool, shell: RemoteShell, group: FileGroup): Promise<Failed | undefined> {
  const { context, comparison, bwlimit, progress, ended } = pool;
  progress.begin(group);
  const compression = pool.compression.next();
  const beganMs = context.deps.monotonicMs();
  let moved: TransferStatistics = { literal: 0, received: 0 };
  const copy: GroupCopy = {
    shell,
    group,
    comparison,
    compression,
    bwlimit,
    signal: ended,
    onProgress: (update) => {
      progress.update(group, update);
    },
    onLine: (line) => {
      pool.moved = addStatistics(pool.moved, line);
      moved = addStatistics(moved, line);
    },
  };
  let result = await runGroup(context, copy);
  pool.compression.note(compression, moved.literal, context.deps.monotonicMs() - beganMs);
  if (isWorthAnotherTry(result)) result = await runGroup(context, copy);
  // An rsync that we ended is no failure of its own.
  if (ended.aborted && result.kind === 'killed') return undefined;
  const failed = await judge(pool, group, result);
  if (failed === undefined) progress.end(group);
  return failed;
}

/** Copies one group after another until none is left, or until a failure ends the whole copy. */
async function work(pool: Pool, shell: RemoteShell): Promise<void> {
  while (!pool.ended.aborted) {
    const group = pool.waiting.shift();
    if (group === undefined) return;
    const failed = await copyGroup(pool, shell, group).catch((error: unknown) => {
      // The other workers must not write while the steps are undone.
      pool.failing.abort();
      throw error;
    });
    if (failed === undefined) continue;
    pool.errors.push(failed.error);
    if (failed.endsAll) pool.failing.abort();
  }
}

const greetingMs = 30_000;

/** Works over a connection that was opened before. False if none of them still works: hours may have passed since. */
async function workOverOpened(pool: Pool): Promise<boolean> {
  const connection = pool.context.takeConnection?.();
  if (connection === undefined) return false;
  let isAlive = false;
  const result = await connection(async (shell) => {
    isAlive = (await shell.run(dataWork('alive', {}), { limitMs: greetingMs })).kind === 'done';
    if (isAlive) await work(pool, shell);
  });
  return result.kind === 'used' && isAlive;
}

/** Each additional worker has its own connection, because one connection would limit all of them. */
async function workApart(pool: Pool): Promise<void> {
  const { deps, primary } = pool.context;
  const { target } = originOf(primary).shell;
  if (await workOverOpened(pool)) return;
  const result = await deps.withRemoteShell(deps, target, (shell) => work(pool, shell));
  if (result.kind === 'used') return;
  pool.errors.push(
    new PitrError(`cannot open another connection to ${target.what} ${target.user}@${target.host}`, {
      detail: result.reason,
      hint: 'MaxStartups and MaxSessions of its sshd limit the connections; rsync_threads: sets how many are opened.',
    }),
  );
  pool.failing.abort();
}

function throwAll({ context, errors }: Pool): void {
  const [first, ...others] = errors;
  if (first === undefined) return;
  const detail = [first.detail, ...others.map((other) => `${other.message}: ${other.detail ?? ''}`)];
  throw failure(context.deps, new PitrError(first.message, { detail: detail.join('\n'), hint: first.hint }));
}

async function runPool(pool: Pool): Promise<void> {
  try {
    const others = Array.from({ length: pool.workers - 1 }, () => workApart(pool));
    await Promise.all([work(pool, originOf(pool.context.primary).shell), ...others]);
  } finally {
    await pool.flush.end();
  }
}

/** Copies all groups, `rsync_threads` at once, and returns how much was transferred. Reports every failure. */
export async function copyGroups(
  context: BackupContext,
  groups: readonly FileGroup[],
  comparison: Comparison,
): Promise<TransferStatistics> {
  const { signal } = context.deps;
  const pool = createPool(context, groups, comparison);
  signal.throwIfAborted();
  await runPool(pool);
  signal.throwIfAborted();
  throwAll(pool);
  return pool.moved;
}
