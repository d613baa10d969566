import type { BackupRun } from './base-backup/context.ts';
import { backupHandler } from './base-backup/execute.ts';
import { observeForBackup } from './base-backup/facts.ts';
import { planBaseBackup } from './base-backup/plan.ts';
import type { ActionOptions, StandbyDeps } from './deps.ts';
import { carryOut, printPlan } from './plan.ts';
import { withPrimary } from './primary.ts';

/**
 * -B: makes pgdata a copy of the primary that a server can recover from, together with the WAL in archivedir. All that can
 * be refused is refused before anything changes; from the first changed byte until the end no server can start.
 */
export async function baseBackup(deps: StandbyDeps, options: ActionOptions): Promise<number> {
  await withPrimary(deps, async (primary) => {
    const facts = await observeForBackup(deps, primary, options);
    const steps = planBaseBackup(facts);
    const run: BackupRun = { isBackupActive: false, isCopyBegun: false, beganMs: deps.now().getTime() };
    // Whoever shows the progress subscribes here.
    const handler = backupHandler({ deps, primary, facts, run, onEvent: () => undefined });
    if (options.dryRun) {
      printPlan(deps, steps, handler);
      return;
    }
    await carryOut(deps, steps, handler);
  });
  if (!options.dryRun) deps.report('Base backup finished successfully');
  return 0;
}
