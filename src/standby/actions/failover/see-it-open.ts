import { PitrError, refusal } from '../../../errors.ts';
import { formatLsn } from '../../../postgres/lsn.ts';
import { promotingAction, takesForce } from '../../deps.ts';
import { restoreTrouble } from '../../recovery/guard.ts';
import { mustReach, timeSinceFirst } from '../../server/reach.ts';
import type { Server } from '../../server/server.ts';
import type { FailoverRun } from './run.ts';

/** The location that the standby must have replayed before it is promoted. */
export interface ReplayProof {
  readonly lsn: bigint;
  /** The segment that contains this location. */
  readonly last: string;
  /** Whether this is the first step, so that nothing was changed before. */
  readonly isFirst: boolean;
}

/** A promotion cannot be undone: before it, the standby must have replayed everything in the archive. */
export async function seeArchiveReplayed(
  run: FailoverRun,
  { lsn, last, isFirst }: ReplayProof,
): Promise<void> {
  await mustReach(
    run,
    // A trigger file or another user may have promoted the server meanwhile. A later step checks how far it has replayed.
    (state) =>
      state.kind === 'production' ||
      (state.kind === 'recovering' && state.replayed !== undefined && state.replayed >= lsn),
    (detail) => {
      const message = `the standby does not replay the archive to its end, LSN ${formatLsn(lsn)} in ${last}`;
      const { deps } = run.server;
      const overruling = takesForce(deps)
        ? ' --force=replay promotes without the WAL that it does not replay.'
        : '';
      const explanation = {
        detail,
        hint: `It has not been promoted. The server log shows the reason. Correct it, then run ${promotingAction(deps)} again.${overruling}`,
      };
      return isFirst
        ? refusal(`${message}; nothing was changed`, explanation)
        : new PitrError(message, explanation);
    },
  );
}

async function explainNotOpen({ pgdata, deps }: Server, detail: string): Promise<PitrError> {
  const action = promotingAction(deps);
  const trouble = await restoreTrouble(pgdata);
  if (trouble === undefined) {
    return new PitrError('the server did not leave recovery', {
      detail,
      hint: `The server log shows the reason. Correct it, then run ${action} again.`,
    });
  }
  const overruling = takesForce(deps)
    ? ` If it cannot be corrected: ${action} --force=replay opens the server without the WAL from there on.`
    : '';
  return new PitrError(`the server has not opened, because it cannot read the archive: ${trouble}`, {
    detail,
    hint: `Nothing is lost. Correct that, then run ${action} again.${overruling}`,
  });
}

/** A server that is open but refuses our login must not be mistaken for one that is still recovering. */
const unansweredMs = 10_000;

export async function seeItOpen(run: FailoverRun): Promise<void> {
  const { deps } = run.server;
  const isSilent = timeSinceFirst(deps, unansweredMs);
  await mustReach(
    run,
    (state) => state.kind === 'production' && (state.answers || isSilent()),
    (detail) => explainNotOpen(run.server, detail),
  );
}
