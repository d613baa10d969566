import { refusal } from '../../errors.ts';
import { startExclusiveBackupSql, stopExclusiveBackupSql } from '../../postgres/backup-sql.ts';
import type { ActionOptions, StandbyDeps } from '../deps.ts';
import { explainUnarchived } from '../primary/archiver-statistics.ts';
import { type BackupInProgress, findExclusiveBackup, ownLabelPrefix } from '../primary/backup-in-progress.ts';
import { checkpointLimitMs } from '../primary/checkpoint.ts';
import { type Primary, type PrimaryFacts, withPrimary } from '../primary/primary.ts';
import { perform } from '../steps/carry-out.ts';
import type { StepTable } from '../steps/step-table.ts';

export type ManualBackupStep =
  { readonly kind: 'start'; readonly label: string } | { readonly kind: 'stop'; readonly label: string };

const afterStop = 'The primary is out of backup mode, and the copy needs that WAL.';

function requireExclusive({ capabilities }: PrimaryFacts): void {
  if (capabilities.canExclusive) return;
  throw refusal(
    `PostgreSQL ${capabilities.version.major} has no backup mode that can be started or stopped separately`,
    {
      hint: 'Its backups belong to a session and end with it. Use -B, which begins and ends the backup itself.',
    },
  );
}

export function planStart(label: string, current: BackupInProgress | undefined): readonly ManualBackupStep[] {
  if (current === undefined) return [{ kind: 'start', label }];
  throw refusal(`the primary is in backup mode already: "${current.label}" since ${current.startTime}`, {
    hint: 'If this standby began it, run: cmd_standby -C FILE -Astop_basebackup',
  });
}

export function planStop(
  standby: string,
  current: BackupInProgress | undefined,
): readonly ManualBackupStep[] {
  if (current === undefined) {
    throw refusal('the primary is not in backup mode', {
      hint: 'There is nothing to stop. A backup of -B ends with its session from PostgreSQL 9.6 on.',
    });
  }
  if (current.label.startsWith(ownLabelPrefix(standby))) return [{ kind: 'stop', label: current.label }];
  throw refusal(
    `the backup on the primary was not begun by this standby: "${current.label}" since ${current.startTime}`,
    {
      hint: 'The program or operator that began it must end it. If that is impossible, run SELECT cmd_pg_stop_backup() on the primary.',
    },
  );
}

const manualSteps: StepTable<ManualBackupStep, { readonly deps: StandbyDeps; readonly primary: Primary }> = {
  start: {
    say: ({ label }) => `put the primary into backup mode with the label "${label}"`,
    run: ({ deps: { settings }, primary }, { label }) => {
      const isFast = settings.basebackup_checkpoint === 'fast';
      const statement = startExclusiveBackupSql(primary.facts.capabilities, label, isFast);
      return primary.query(statement, checkpointLimitMs(settings));
    },
  },
  stop: {
    say: ({ label }) => `end the backup "${label}" on the primary`,
    run: ({ deps: { settings }, primary }, { label }) =>
      explainUnarchived(primary, settings.wal_timeout, afterStop, (limitMs) =>
        primary.query(stopExclusiveBackupSql(primary.facts.capabilities, label), limitMs),
      ),
  },
};

async function performPlan(
  deps: StandbyDeps,
  options: ActionOptions,
  plan: (current: BackupInProgress | undefined) => readonly ManualBackupStep[],
): Promise<boolean> {
  return withPrimary(deps, async (primary) => {
    requireExclusive(primary.facts);
    const steps = plan(await findExclusiveBackup(primary));
    return perform(deps, options, steps, manualSteps, { deps, primary });
  });
}

/** -A start_basebackup: puts the primary into backup mode, so that other programs can copy it. Up to 14. */
export async function startBaseBackup(deps: StandbyDeps, options: ActionOptions): Promise<number> {
  const label = `${ownLabelPrefix(deps.hostName)}by hand ${deps.nonce()}`;
  if (await performPlan(deps, options, (current) => planStart(label, current)))
    deps.report('The master is in backup mode');
  return 0;
}

/** -A stop_basebackup: ends a backup of this standby that was left behind, but no backup of another host. Up to 14. */
export async function stopBaseBackup(deps: StandbyDeps, options: ActionOptions): Promise<number> {
  if (await performPlan(deps, options, (current) => planStop(deps.hostName, current)))
    deps.report('The master is out of backup mode');
  return 0;
}
