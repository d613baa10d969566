import { PitrError } from '../../../errors.ts';
import type { StandbyDeps } from '../../deps.ts';
import type { Server } from '../../server/server.ts';
import { serverLogTail } from '../../server/local-server.ts';
import { observeServer } from '../../server/server-state.ts';
import { mustBecome, type Look } from '../../server/wait.ts';
import { restoreTrouble } from '../../recovery/guard.ts';
import type { FailoverRun } from './run.ts';

/** A server that is open and lets us not in must not look like one that is still recovering. */
const unansweredMs = 10_000;

function hasBeenOpen(deps: StandbyDeps, run: FailoverRun): boolean {
  const nowMs = deps.monotonicMs();
  run.openSinceMs ??= nowMs;
  return nowMs - run.openSinceMs >= unansweredMs;
}

async function lookForOpen(server: Server, run: FailoverRun): Promise<Look<undefined>> {
  const { deps } = server;
  const state = await observeServer(server, run.started);
  if (state.kind === 'production' && (state.answers || hasBeenOpen(deps, run)))
    return { kind: 'done', value: undefined };
  if (state.kind === 'stopped') return { kind: 'failed', reason: 'it has stopped' };
  return { kind: 'waiting', progress: 'progress' in state ? state.progress : state.kind };
}

async function explainNotOpen(deps: StandbyDeps, run: FailoverRun, reason: string): Promise<PitrError> {
  const detail = `${reason}; ${await serverLogTail(deps, run.started)}`;
  const trouble = await restoreTrouble(deps.settings.pgdata);
  if (trouble === undefined) {
    return new PitrError('the server is not seen out of recovery', {
      detail,
      hint: 'The reason stands in the server log. When it is mended, run -F999 again.',
    });
  }
  return new PitrError(`the server has not opened, because it cannot read the archive: ${trouble}`, {
    detail,
    hint: 'Nothing is lost. Mend that, then run -F999 again. If it cannot be mended: -F999 --force=replay opens the server without the WAL from there on.',
  });
}

export async function seeItOpen(server: Server, run: FailoverRun): Promise<void> {
  const { deps } = server;
  await mustBecome(
    deps,
    deps.settings.start_timeout,
    () => lookForOpen(server, run),
    (reason) => explainNotOpen(deps, run, reason),
  );
}
