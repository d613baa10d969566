import type { CopyFacts } from '../../../backup-record/record.ts';
import { checkCopy } from './check-copy.ts';
import { needed, type BackupContext } from '../context.ts';
import { copyGroups } from './copy-pool.ts';
import { shareOut } from './groups.ts';
import type { Comparison } from '../plan.ts';

function seconds(fromMs: number, toMs: number): number {
  return Math.round((toMs - fromMs) / 100) / 10;
}

/** Copies what was planned, holds what arrived against the plan, and notes what it took. */
export async function copyFiles(context: BackupContext, comparison: Comparison): Promise<void> {
  const { deps, run } = context;
  const plan = needed(run.plan, 'the plan');
  const threads = deps.settings.rsync_threads;
  const beganMs = deps.monotonicMs();
  const moved = await copyGroups(context, shareOut(plan, threads), comparison);
  const movedBytes = moved.literal + (await checkCopy(context));
  const endedMs = deps.monotonicMs();
  const copy: CopyFacts = {
    files: plan.files,
    bytes: plan.bytes,
    movedBytes,
    reusedBytes: Math.max(0, plan.bytes - movedBytes),
    receivedBytes: moved.received,
    threads,
    copySeconds: seconds(beganMs, endedMs),
    seconds: seconds(run.beganMs, endedMs),
  };
  run.record = { ...needed(run.record, 'the record'), copy };
}

/** The time that the whole took, for the record at the end. */
export function noteDuration({ deps, run }: BackupContext): void {
  const record = needed(run.record, 'the record');
  if (record.copy === undefined) return;
  run.record = { ...record, copy: { ...record.copy, seconds: seconds(run.beganMs, deps.monotonicMs()) } };
}
