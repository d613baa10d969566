import type { CopyFacts } from '../../../backup-record/record.ts';
import type { BackupContext } from '../context.ts';
import { secondsBetween } from '../results.ts';
import { checkCopy } from './check-copy.ts';
import { comparisonFor } from './comparison.ts';
import { copyGroups } from './copy-pool.ts';
import { shareOut } from './groups.ts';
import type { CopyPlan } from './planned-files.ts';

/** Copies the planned files, compares the copy with the plan, and returns the costs of the copy. */
export async function copyFiles(
  context: BackupContext,
  plan: CopyPlan,
  backupBeganMs: number,
): Promise<CopyFacts> {
  const { deps, facts } = context;
  const threads = deps.settings.rsync_threads;
  const beganMs = deps.monotonicMs();
  const moved = await copyGroups(context, shareOut(plan, threads), comparisonFor(facts));
  const movedBytes = moved.literal + (await checkCopy(context, plan));
  const endedMs = deps.monotonicMs();
  return {
    files: plan.files,
    bytes: plan.bytes,
    movedBytes,
    reusedBytes: Math.max(0, plan.bytes - movedBytes),
    receivedBytes: moved.received,
    threads,
    copySeconds: secondsBetween(beganMs, endedMs),
    seconds: secondsBetween(backupBeganMs, endedMs),
  };
}
