import { PitrError } from '../../../../errors.ts';
import { formatLsn, parseLsn } from '../../../../postgres/lsn.ts';
import { checkpointTimeoutSql } from '../../../../postgres/server-sql.ts';
import type { BackupRecord } from '../../../host/backup-record/record.ts';
import { checkpoint, mayCheckpoint } from '../../../primary/checkpoint.ts';
import { originOf } from '../../../primary/origin.ts';
import type { Primary } from '../../../primary/primary.ts';
import { type Look, mustBecome } from '../../../server/wait.ts';
import type { BackupContext } from '../context.ts';
import { nudgeArchiver, nudgesAtTimes } from '../wal/nudge.ts';
import { askState, type SourceState } from './facts.ts';

/** The server may make its own restartpoint this much later than checkpoint_timeout. */
const marginS = 60;

function shown(lsn: bigint | undefined): string {
  return lsn === undefined ? 'nowhere' : formatLsn(lsn);
}

/** Refuses to wait any longer for a source that cannot catch up. */
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
  readonly source: Primary;
  readonly startLsn: bigint;
}

/** Polls the source until the condition is true. Fails if nothing has progressed for `limitS`. */
async function waitFor(
  { context, source, startLsn }: Waiting,
  limitS: number,
  isDone: (state: SourceState) => boolean,
  message: string,
  ask = () => askState(source),
): Promise<void> {
  const { host } = source.shell.target;
  // A source that reads its WAL from an archive gets it in whole segments.
  const nudge = nudgesAtTimes(context);
  let state: SourceState | undefined;
  const look = async (): Promise<Look<undefined>> => {
    state = await ask();
    requireFollowing(host, state);
    if (isDone(state)) return { kind: 'done', value: undefined };
    const progress = shown(state.replayedLsn);
    await nudge(`${host}, which has replayed to ${progress} of ${shown(startLsn)}`);
    return { kind: 'waiting', progress };
  };
  const explain = () =>
    new PitrError(`${message} within ${limitS} s`, {
      detail: `the backup began at ${shown(startLsn)}; ${host} has replayed to ${shown(state?.replayedLsn)}, and its last restartpoint is at ${shown(state?.redoLsn)}`,
      hint: `Find out why ${host} is behind, or leave basebackup_source: out; wal_timeout: sets how long -B waits without progress.`,
    });
  await mustBecome(context.deps, limitS, look, explain);
}

/** Requests a restartpoint if the role may do that. Otherwise the server makes one when its checkpoint_timeout has passed. */
async function waitForRestartpoint(waiting: Waiting): Promise<void> {
  const { source, startLsn } = waiting;
  const { settings, log } = waiting.context.deps;
  const { host } = source.shell.target;
  const mayAsk = await mayCheckpoint(source);
  const limitS = mayAsk
    ? settings.wal_timeout
    : Number((await source.query(checkpointTimeoutSql))[0]?.[0]) + marginS;
  if (!mayAsk) log.notice(`waiting up to ${limitS} s for ${host} to make a restartpoint by itself`);
  const ask = async () => {
    // The request has no effect as long as no later checkpoint has been replayed.
    if (mayAsk) await checkpoint(source);
    return askState(source);
  };
  const message = `${host} completed no restartpoint at or after the start of the backup`;
  await waitFor(waiting, limitS, ({ redoLsn }) => redoLsn >= startLsn, message, ask);
}

/**
 * Waits until everything that happened before the start of the backup is in the files of the source: replayed, and
 * written by a restartpoint. Everything later is in the WAL of the backup, which contains whole pages.
 */
export async function awaitSource(context: BackupContext, start: BackupRecord): Promise<void> {
  const source = originOf(context.primary);
  const startLsn = parseLsn(start.startLsn);
  const waiting = { context, source, startLsn };
  await nudgeArchiver(context);
  await waitFor(
    waiting,
    context.deps.settings.wal_timeout,
    ({ replayedLsn }) => replayedLsn !== undefined && replayedLsn > startLsn,
    `${source.shell.target.host} did not replay the start of the backup`,
  );
  await waitForRestartpoint(waiting);
  await requireOneTimeline(context, start.timeline);
}

/** Checks that the source still follows, and that neither it nor the primary has begun another timeline. */
export async function requireOneTimeline({ primary }: BackupContext, timeline: number): Promise<void> {
  const source = originOf(primary);
  const { host } = source.shell.target;
  const state = await askState(source);
  requireFollowing(host, state);
  if (state.timeline === timeline) return;
  throw new PitrError(`${host} is on timeline ${state.timeline}, and the backup began on ${timeline}`, {
    hint: 'Run -B again when all servers follow one primary.',
  });
}
