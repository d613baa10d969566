import { PitrError } from '../../../../errors.ts';
import type { StandbyDeps } from '../../../deps.ts';
import type { FailoverRun } from '../run.ts';
import type { Server } from '../../../server/server.ts';
import { serverLogSince, serverLogTail } from '../../../server/local-server.ts';
import { readControlFile } from '../../../server/data-directory.ts';
import { observeServer } from '../../../server/server-state.ts';
import { isReplayPaused } from '../../../server/replay-paused.ts';
import { mustBecome, type Look } from '../../../server/wait.ts';

/** More than a server logs while it recovers. */
const readLogBytes = 1024 * 1024;

async function lookForPause(server: Server, run: FailoverRun): Promise<Look<undefined>> {
  const state = await observeServer(server, run.started);
  if (state.kind === 'stopped') return { kind: 'failed', reason: 'it has stopped' };
  if (state.kind === 'production' && state.answers)
    return { kind: 'failed', reason: 'it is out of recovery' };
  if (await isReplayPaused(server, state)) return { kind: 'done', value: undefined };
  return { kind: 'waiting', progress: 'progress' in state ? state.progress : state.kind };
}

/** From 14 a server also pauses where a limit of its is lower than the primary's: that is not the target. */
async function refuseOtherPause(deps: StandbyDeps, run: FailoverRun): Promise<void> {
  const log = await serverLogSince(deps, run.started, readLogBytes);
  if (log?.includes('insufficient parameter settings') !== true) return;
  throw new PitrError('the server has paused before the target, because a limit of its is too low', {
    detail: await serverLogTail(deps, run.started),
    hint: 'Its log names the limit (max_connections and others): it must be at least what the primary had.',
  });
}

export async function seeItPaused(server: Server, run: FailoverRun): Promise<void> {
  const { deps } = server;
  await mustBecome(
    deps,
    deps.settings.start_timeout,
    () => lookForPause(server, run),
    async (reason) =>
      new PitrError('the server is not seen paused at the target', {
        detail: `${reason}; ${await serverLogTail(deps, run.started)}`,
        hint: 'The reason stands in the server log.',
      }),
  );
  await refuseOtherPause(deps, run);
}

async function lookForShutdown(server: Server, run: FailoverRun): Promise<Look<undefined>> {
  const state = await observeServer(server, run.started);
  if (state.kind === 'production' && state.answers)
    return { kind: 'failed', reason: 'it is out of recovery' };
  if (state.kind !== 'stopped')
    return { kind: 'waiting', progress: 'progress' in state ? state.progress : state.kind };
  // One that ended for another reason did not write its last words into pg_control.
  const control = await readControlFile(server.pgdata);
  const isOrderly =
    control?.state === 'shut-down-in-recovery' && control.checksum !== run.started.control?.checksum;
  return isOrderly
    ? { kind: 'done', value: undefined }
    : { kind: 'failed', reason: 'it has stopped, but not at the target' };
}

export async function seeItShutDown(server: Server, run: FailoverRun): Promise<void> {
  const { deps } = server;
  await mustBecome(
    deps,
    deps.settings.start_timeout,
    () => lookForShutdown(server, run),
    async (reason) =>
      new PitrError('the server is not seen to have shut down at the target', {
        detail: `${reason}; ${await serverLogTail(deps, run.started)}`,
        hint: 'The reason stands in the server log.',
      }),
  );
}
