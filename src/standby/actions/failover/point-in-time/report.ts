import { PitrError, unreachable } from '../../../../errors.ts';
import { formatLsn } from '../../../../postgres/lsn.ts';
import type { TargetAction } from '../../../../postgres/recovery-target.ts';
import type { StandbyDeps } from '../../../deps.ts';
import { reportFailover, sayOutcome } from '../failover.ts';
import { serverOf } from '../../../server/server.ts';
import { lockedRelations } from '../../../server/locked-relations.ts';
import type { FailoverRun } from '../run.ts';
import { serverLogSince } from '../../../server/local-server.ts';
import { readControlFile } from '../../../server/data-directory.ts';
import type { RecoveryFacts } from './facts.ts';
import type { RecoveryRun } from './handler.ts';
import type { Replayed } from '../../../recovery/replayed.ts';
import { showMoment } from '../../../recovery/target.ts';

/** More than a server logs while it recovers. */
const readLogBytes = 1024 * 1024;

/** What the data here holds now; of a server that has stopped its pg_control tells the place only. */
async function sayReached(deps: StandbyDeps, facts: RecoveryFacts, reached: Replayed): Promise<void> {
  if (reached.time !== undefined)
    deps.report(`The last transaction in it was committed at ${showMoment(reached.time, facts.bounds.zone)}`);
  const lsn = reached.lsn ?? (await readControlFile(facts.directory.pgdata))?.progress?.minRecoveryLsn ?? 0n;
  if (lsn > 0n) deps.report(`WAL was replayed up to ${formatLsn(lsn)}`);
}

/** 8.4 has no standby mode to keep it from opening at a damaged place in the WAL: its log must say that it got there. */
async function requireReached(
  deps: StandbyDeps,
  facts: RecoveryFacts,
  run: FailoverRun,
  shown: string,
): Promise<void> {
  if (facts.directory.capabilities.standbyMode) return;
  const log = await serverLogSince(deps, run.started, readLogBytes);
  if (log !== undefined && /recovery stopping (before|after)/.test(log)) return;
  throw new PitrError(`the server was opened, but its log does not show that it reached ${shown}`, {
    hint: 'Look at what is in it. If the target was missed, make a new base backup: this server is out of recovery.',
  });
}

/** Whoever looks at a table that a DROP was about to remove would wait for ever, and not know for what. */
async function sayLocked(deps: StandbyDeps, { directory }: RecoveryFacts): Promise<void> {
  const locked = await lockedRelations(serverOf(deps, directory.capabilities));
  if (locked === undefined) {
    deps.report('Which relations are locked by transactions that were not finished there is not determined');
    return;
  }
  if (locked.length === 0) return;
  deps.report(`Locked by transactions that were not finished there: ${locked.join(', ')}`);
  deps.report(
    'A query on these waits until the server opens or goes on. To read them now, recover to a time before they were locked',
  );
}

const elsewhere = 'a later target: -F999 with another --target-…; on as a standby: -A stop, then -S';

/** The last lines, and the exit code. */
export async function reportRecovery(
  deps: StandbyDeps,
  facts: RecoveryFacts,
  { failover: run, reached }: RecoveryRun,
  action: TargetAction,
  shown: string,
): Promise<number> {
  await sayReached(deps, facts, reached);
  switch (action) {
    case 'promote':
      await requireReached(deps, facts, run, shown);
      await sayOutcome(deps, facts, run);
      return reportFailover(deps, run);
    case 'pause':
      deps.report(`Paused at ${shown}: the server answers queries and takes no writes`);
      await sayLocked(deps, facts);
      deps.report(`HINT: To open it there: -F999; ${elsewhere}`);
      return 0;
    case 'shutdown':
      deps.report(`Shut down at ${shown}`);
      deps.report(
        'HINT: To open it there: the same -F999 with --target-action promote; a later target: -F999 with another --target-…; on as a standby: -S',
      );
      return 0;
    default:
      return unreachable(action);
  }
}
