import { PitrError, unreachable } from '../../../../errors.ts';
import { formatLsn } from '../../../../postgres/lsn.ts';
import type { TargetAction } from '../../../../postgres/recovery-target.ts';
import { readPostmaster } from '../../../../system/postmaster.ts';
import { shellQuote } from '../../../../system/shell-quote.ts';
import { noteHistory } from '../../../host/history.ts';
import { lockedRelations } from '../../../recovery/replayed.ts';
import { showMoment } from '../../../recovery/target.ts';
import { readControlFile } from '../../../server/data-directory.ts';
import { localServerAt } from '../../../server/local-address.ts';
import type { Server } from '../../../server/server.ts';
import { reportFailover } from '../report.ts';
import { roleOf } from '../role.ts';
import type { RecoveryFacts } from './facts.ts';
import { recoveryLog } from './see-it-end.ts';
import type { RecoveryRun } from './steps.ts';

/** The end of the replayed data. If the server is stopped, pg_control shows only the LSN. */
async function sayReached({ server, reached }: RecoveryRun, zone: string): Promise<void> {
  const { deps, pgdata } = server;
  if (reached?.time !== undefined)
    deps.report(`The last transaction in it was committed at ${showMoment(reached.time, zone)}`);
  const lsn = reached?.lsn ?? (await readControlFile(pgdata))?.progress?.minRecoveryLsn ?? 0n;
  if (lsn > 0n) deps.report(`WAL was replayed up to ${formatLsn(lsn)}`);
}

/**
 * 8.4 has no standby mode, which would keep it from opening at a damaged place in the WAL. Its log must therefore show
 * that it reached the target.
 */
async function requireReached(run: RecoveryRun): Promise<void> {
  if (run.server.capabilities.standbyMode) return;
  const log = await recoveryLog(run);
  if (log !== undefined && /recovery stopping (before|after)/.test(log)) return;
  throw new PitrError(`the server was opened, but its log does not show that it reached ${run.shown}`, {
    hint: 'Check its data. If the target was missed, make a new base backup: this server is out of recovery.',
  });
}

/** A query on a table that a DROP was about to remove would wait forever. The operator must know the reason. */
async function sayLocked(server: Server): Promise<void> {
  const { deps } = server;
  const locked = await lockedRelations(server);
  if (locked === undefined) {
    deps.report(
      'It was not determined which relations are locked by transactions that were not finished there',
    );
    return;
  }
  if (locked.length === 0) return;
  deps.report(`Locked by transactions that were not finished there: ${locked.join(', ')}`);
  deps.report(
    'A query on these waits until the server opens or resumes the replay. To read them now, recover to a time before they were locked',
  );
}

/** For a person, who reads it before it is pasted. */
function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : shellQuote(word);
}

/** The command by which the data can be looked at. */
async function lookCommand({ deps }: Server, { configuration }: RecoveryFacts): Promise<string> {
  const { settings } = deps;
  const { host, port, user, database } = localServerAt(
    settings,
    await readPostmaster(settings.pgdata),
    configuration.inFile,
  );
  return ['psql', '-h', host, '-p', String(port), '-U', user, database].map(shellWord).join(' ');
}

function openHint({ liveness }: RecoveryFacts): string {
  // To get a table back, a server is opened while the primary serves.
  return liveness.kind === 'alive'
    ? 'To open it there, beside the primary, which is alive: -F999 --force=primary-alive'
    : 'To open it there: -F999';
}

const elsewhere = 'a later target: -F999 with another --target-…; as a standby again: -A stop, then -S';

/** `shown` may say "just before …". */
function placeOf({ shown }: RecoveryRun): string {
  return shown.startsWith('just before ') ? shown : `at ${shown}`;
}

/** The last lines of the report, and the exit code. */
export async function reportRecovery(
  run: RecoveryRun,
  facts: RecoveryFacts,
  action: TargetAction,
): Promise<number> {
  const { deps } = run.server;
  await sayReached(run, facts.bounds.zone);
  switch (action) {
    case 'promote':
      await requireReached(run);
      return reportFailover(run, facts, roleOf(facts, true), 'recovery');
    case 'pause':
      await noteHistory(deps, { kind: 'recovered', action, target: run.shown });
      deps.report(`Paused ${placeOf(run)}: the server answers queries and takes no writes`);
      await sayLocked(run.server);
      deps.report(`HINT: To look at the data: ${await lookCommand(run.server, facts)}`);
      deps.report(`HINT: ${openHint(facts)}; ${elsewhere}`);
      return 0;
    case 'shutdown':
      await noteHistory(deps, { kind: 'recovered', action, target: run.shown });
      deps.report(`Shut down ${placeOf(run)}`);
      deps.report(
        'HINT: To open it there: the same -F999 with --target-action promote; a later target: -F999 with another --target-…; as a standby again: -S',
      );
      return 0;
    default:
      return unreachable(action);
  }
}
