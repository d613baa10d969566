/** A pause of the replay that a recovery to a target began, and a kill kept it from ending. */
import { messageOf } from '../../errors.ts';
import { readPostmaster } from '../../system/postmaster.ts';
import { startOf } from '../../system/processes.ts';
import type { StandbyDeps } from '../deps.ts';
import { takeActionLock } from '../host/action-lock.ts';
import { changeRecord, readRecord, type StandbyRecord } from '../host/backup-record/record.ts';
import { type DataDirectory, readCapabilities } from '../server/data-directory.ts';
import { type Server, serverOf } from '../server/server.ts';
import { observeServer } from '../server/server-state.ts';
import { resumeReplay } from './pause.ts';
import { isReplayPaused } from './replayed.ts';

/** A pause ends with the server that was asked for it. */
export async function notePause({ pgdata }: Server): Promise<void> {
  const postmaster = await readPostmaster(pgdata);
  const start = postmaster.kind === 'running' ? startOf(postmaster.pid) : undefined;
  if (postmaster.kind !== 'running' || start === undefined) return;
  await changeRecord(pgdata, { pausedServer: { pid: postmaster.pid, start } });
}

export async function forgetPause({ pgdata }: Server): Promise<void> {
  if ((await readRecord(pgdata)).pausedServer !== undefined)
    await changeRecord(pgdata, { pausedServer: undefined });
}

/** Only under the action lock, or without a run that has it, is the pause one that was left. */
export function isPauseNoted({ pausedServer: server }: Pick<StandbyRecord, 'pausedServer'>): boolean {
  return server !== undefined && startOf(server.pid) === server.start;
}

const byUser = 'Resume it: SELECT pg_wal_replay_resume() (pg_xlog_replay_resume() up to 9.6)';

/** A server that has recovered to a target pauses there as it was asked to. */
export async function warnOfPause(deps: StandbyDeps, { record, capabilities }: DataDirectory): Promise<void> {
  const server = serverOf(deps, capabilities);
  if (record.settings?.mode === 'recovery') return;
  if (!(await isReplayPaused(server, await observeServer(server)))) return;
  deps.log.warning('the replay of the standby here is paused: the WAL that it receives only accumulates', {
    hint: isPauseNoted(record)
      ? 'A recovery to a target has paused it. If none is running any more, -P resumes it.'
      : byUser,
  });
}

/** For a start that finds the server running, and for another recovery to a target. */
export function sayLeftPause({ log }: Pick<StandbyDeps, 'log'>, record: StandbyRecord): void {
  if (!isPauseNoted(record)) return;
  log.warning('a recovery to a target has paused the replay of the standby here, and has not ended it', {
    hint: 'If none is running any more: another one continues from there, and -P resumes the replay.',
  });
}

async function resumeNoted(deps: StandbyDeps): Promise<void> {
  const { pgdata } = deps.settings;
  const server = serverOf(deps, await readCapabilities(pgdata));
  if (isPauseNoted(await readRecord(pgdata)) && (await isReplayPaused(server, await observeServer(server)))) {
    await resumeReplay(server);
    deps.log.notice('resumed the replay, which a recovery to a target that was killed had left paused');
  }
  await forgetPause(server);
}

/** For each -P: resumes the replay, unless a run that has paused it is still at work. Never fails. */
export async function endLeftPause(deps: StandbyDeps): Promise<void> {
  const { pgdata } = deps.settings;
  try {
    if ((await readRecord(pgdata)).pausedServer === undefined) return;
    const lock = await takeActionLock(deps, 0);
    if (lock === undefined) return;
    try {
      await resumeNoted(deps);
    } finally {
      await lock.release();
    }
  } catch (error) {
    deps.signal.throwIfAborted();
    deps.log.warning(`whether a pause of the replay was left here cannot be determined: ${messageOf(error)}`);
  }
}
