import { PitrError, refusal } from '../../../errors.ts';
import { formatLsn } from '../../../postgres/lsn.ts';
import type { Server } from '../../server/server.ts';
import { serverLogTail } from '../../server/local-server.ts';
import { observeServer } from '../../server/server-state.ts';
import { mustBecome, type Look } from '../../server/wait.ts';
import type { FailoverRun } from './run.ts';
import type { SeeArchiveReplayedStep } from './steps.ts';

async function lookForEnd(server: Server, run: FailoverRun, end: bigint): Promise<Look<undefined>> {
  const state = await observeServer(server, run.started);
  if (state.kind === 'stopped') return { kind: 'failed', reason: 'it has stopped' };
  // A trigger file, or somebody else, was faster: what was replayed is seen afterwards.
  if (state.kind === 'production') return { kind: 'done', value: undefined };
  if (state.kind === 'recovering' && state.replayed !== undefined && state.replayed >= end)
    return { kind: 'done', value: undefined };
  return { kind: 'waiting', progress: state.progress };
}

/** A promotion cannot be taken back: the standby must have replayed what the archive holds before it. */
export async function seeArchiveReplayed(
  server: Server,
  run: FailoverRun,
  { lsn, last, isFirst }: SeeArchiveReplayedStep,
): Promise<void> {
  const { deps } = server;
  await mustBecome(
    deps,
    deps.settings.start_timeout,
    () => lookForEnd(server, run, lsn),
    async (reason) => {
      const message = `the standby does not replay the archive to its end, LSN ${formatLsn(lsn)} in ${last}`;
      const explanation = {
        detail: `${reason}; ${await serverLogTail(deps, run.started)}`,
        hint: 'It has not been promoted. The reason stands in the server log; when it is mended, run -F999 again. --force=replay promotes without the WAL that it does not replay.',
      };
      return isFirst
        ? refusal(`${message}; nothing was changed`, explanation)
        : new PitrError(message, explanation);
    },
  );
}
