import { PitrError } from '../../../../errors.ts';
import { checkpointSql, isTrue, mayCheckpointSql } from '../../../../postgres/backup-sql.ts';
import { formatLsn, parseLsn } from '../../../../postgres/lsn.ts';
import type { Primary } from '../../../primary/primary.ts';
import { needed, type BackupContext } from '../context.ts';
import { nudgeArchiver } from '../wal/wait-for-wal.ts';
import { askState } from './facts.ts';
import type { SourceState } from './state.ts';

const pollMs = 500;
const tellMs = 10_000;
const checkpointMs = 30 * 60_000;
/** A restartpoint that nobody asks for may come so much later than checkpoint_timeout. */
const marginS = 60;
const checkpointTimeoutSql = "SELECT setting FROM pg_settings WHERE name = 'checkpoint_timeout'";

function sourceOf({ primary }: BackupContext): Primary {
  return needed(primary.source, 'the standby to copy from');
}

function shown(lsn: bigint | undefined): string {
  return lsn === undefined ? 'nowhere' : formatLsn(lsn);
}

/** A source that cannot be waited for any longer. */
function requireFollowing(host: string, state: SourceState): void {
  if (!state.inRecovery) {
    throw new PitrError(`${host} was promoted: its files are no copy of the primary's any more`, {
      hint: 'Leave basebackup_source: out, or name another standby, and run -B again.',
    });
  }
  if (!state.isPaused) return;
  throw new PitrError(`replay was paused on ${host} at ${shown(state.replayedLsn)}`, {
    hint: 'Resume it there, then run -B again.',
  });
}

interface Waiting {
  readonly context: BackupContext;
  readonly host: string;
  readonly startLsn: bigint;
}

/** Looks again and again, until it is true or nothing has moved for so long. */
async function waitFor(
  { context, host, startLsn }: Waiting,
  limitS: number,
  look: () => Promise<SourceState>,
  isDone: (state: SourceState) => boolean,
  message: (state: SourceState) => string,
): Promise<void> {
  const { deps } = context;
  let state = await look();
  let [movedMs, toldMs] = [deps.monotonicMs(), deps.monotonicMs()];
  while (!isDone(state)) {
    requireFollowing(host, state);
    const nowMs = deps.monotonicMs();
    if (nowMs - movedMs > limitS * 1000) {
      throw new PitrError(`${message(state)} within ${limitS} s`, {
        detail: `the backup began at ${shown(startLsn)}; ${host} has replayed to ${shown(state.replayedLsn)}, and its last restartpoint is at ${shown(state.redoLsn)}`,
        hint: `See why ${host} is behind, or leave basebackup_source: out; wal_timeout: says how long a standstill is waited for.`,
      });
    }
    if (nowMs - toldMs > tellMs) {
      toldMs = nowMs;
      deps.log.notice(
        `waiting for ${host}, which has replayed to ${shown(state.replayedLsn)} of ${shown(startLsn)}`,
      );
      // A source that reads its WAL from an archive sees it one whole segment after the other.
      await nudgeArchiver(context);
    }
    await deps.pause(pollMs);
    const next = await look();
    if (next.replayedLsn !== state.replayedLsn) movedMs = deps.monotonicMs();
    state = next;
  }
  requireFollowing(host, state);
}

/** Asks for a restartpoint where the role may; otherwise the server makes one when its checkpoint_timeout has passed. */
async function waitForRestartpoint(waiting: Waiting, source: Primary): Promise<void> {
  const { deps } = waiting.context;
  const mayAsk = isTrue(await source.query(mayCheckpointSql(source.facts.capabilities)));
  const limitS = mayAsk
    ? deps.settings.wal_timeout
    : Number((await source.query(checkpointTimeoutSql))[0]?.[0]) + marginS;
  if (!mayAsk)
    deps.log.notice(`waiting up to ${limitS} s for ${waiting.host} to make a restartpoint by itself`);
  const look = async () => {
    // It does nothing while no later checkpoint has been replayed.
    if (mayAsk) await source.query(checkpointSql, checkpointMs);
    return askState(source);
  };
  await waitFor(
    waiting,
    limitS,
    look,
    ({ redoLsn }) => redoLsn >= waiting.startLsn,
    () => `${waiting.host} completed no restartpoint at or after the start of the backup`,
  );
}

/**
 * Waits until all that happened before the start of the backup is in the files of the source: it has been replayed there, and
 * a restartpoint has written it out. What happened later is in the WAL of the backup, whole pages first.
 */
export async function awaitSource(context: BackupContext): Promise<void> {
  const source = sourceOf(context);
  const { host } = source.shell.target;
  const startLsn = parseLsn(needed(context.run.record, 'the record').startLsn);
  const waiting = { context, host, startLsn };
  await nudgeArchiver(context);
  await waitFor(
    waiting,
    context.deps.settings.wal_timeout,
    () => askState(source),
    ({ replayedLsn }) => replayedLsn !== undefined && replayedLsn > startLsn,
    () => `${host} did not replay the start of the backup`,
  );
  await waitForRestartpoint(waiting, source);
  await requireOneTimeline(context);
}

/** The source still follows, and neither it nor the primary has begun another timeline. */
export async function requireOneTimeline(context: BackupContext): Promise<void> {
  const source = sourceOf(context);
  const { host } = source.shell.target;
  const state = await askState(source);
  requireFollowing(host, state);
  const { timeline } = needed(context.facts.position, 'the position');
  if (state.timeline === timeline) return;
  throw new PitrError(`${host} is on timeline ${state.timeline}, and the backup began on ${timeline}`, {
    hint: 'Run -B again when all servers follow one primary.',
  });
}
