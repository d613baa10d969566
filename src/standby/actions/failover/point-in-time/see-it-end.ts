import { PitrError } from '../../../../errors.ts';
import { isReplayPaused } from '../../../recovery/replayed.ts';
import { readControlFile } from '../../../server/data-directory.ts';
import { serverLogSince, serverLogTail } from '../../../server/local-server.ts';
import { type Judge, mustReach } from '../../../server/reach.ts';
import type { FailoverRun } from '../run.ts';

/** More than a server logs during a recovery. */
const readLogBytes = 1024 * 1024;

/** The server's log since its start; undefined if the server logs elsewhere. */
export async function recoveryLog({ server, started }: FailoverRun): Promise<string | undefined> {
  return serverLogSince(server.deps, started, readLogBytes);
}

async function mustEnd(run: FailoverRun, isThere: Judge, message: string): Promise<void> {
  await mustReach(
    run,
    (state) => (state.kind === 'production' && state.answers ? 'it is out of recovery' : isThere(state)),
    (detail) => new PitrError(message, { detail, hint: 'The server log shows the reason.' }),
  );
}

/** From 14 on a server also pauses if one of its settings is lower than the primary's. That is not the target. */
async function refuseOtherPause(run: FailoverRun): Promise<void> {
  const log = await recoveryLog(run);
  if (log?.includes('insufficient parameter settings') !== true) return;
  throw new PitrError('replay paused before the target: a setting here is lower than on the primary', {
    detail: await serverLogTail(run.server.deps, run.started),
    hint: 'Its log names the limit (max_connections and others): it must be at least what the primary had.',
  });
}

/**
 * An operator or another program may pause the replay or stop the server: only the log shows that it was not the target.
 * A server writes there that it stops at its target before it pauses or ends, and a request to pause counts as a pause
 * before the replay has seen it. A server that logs elsewhere, less or in another language shows nothing.
 */
async function refuseOthersDoing(run: FailoverRun, message: string): Promise<void> {
  const log = await recoveryLog(run);
  if (log?.includes('redo starts at') !== true || /recovery stopping (before|after|at)/.test(log)) return;
  throw new PitrError(message, {
    detail: await serverLogTail(run.server.deps, run.started),
    hint: 'An operator or another program did that. Run the same command again: the recovery continues.',
  });
}

export async function seeItPaused(run: FailoverRun): Promise<void> {
  await mustEnd(
    run,
    (state) => isReplayPaused(run.server, state),
    'the server is not seen paused at the target',
  );
  await refuseOtherPause(run);
  await refuseOthersDoing(run, 'replay was paused before the target');
}

/** A server that ended for another reason did not write this state into pg_control. */
async function isShutDownInRecovery({ server, started }: FailoverRun): Promise<boolean> {
  const control = await readControlFile(server.pgdata);
  return control?.state === 'shut-down-in-recovery' && control.checksum !== started.control?.checksum;
}

export async function seeItShutDown(run: FailoverRun): Promise<void> {
  await mustEnd(
    run,
    async ({ kind }) => {
      if (kind !== 'stopped') return false;
      return (await isShutDownInRecovery(run)) || 'it has stopped, but not at the target';
    },
    'the server is not seen to have shut down at the target',
  );
  await refuseOthersDoing(run, 'the server was stopped before the target');
}
