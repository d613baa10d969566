/** Recovers and opens the copy by the steps of -F999, and measures them. */
import { formatLsn } from '../../../../postgres/lsn.ts';
import { formatUtc } from '../../../../postgres/timestamp.ts';
import { nextRecordOf } from '../../../archive/replay-check.ts';
import type { StandbyDeps } from '../../../deps.ts';
import type { DrillReport } from '../../../drill/record.ts';
import { type Phase, replaySeconds } from '../../../recovery/phases.ts';
import { askReplayed, type Replayed } from '../../../recovery/replayed.ts';
import type { RequestedTarget } from '../../../recovery/requested-target.ts';
import type { Server } from '../../../server/server.ts';
import { carryOut } from '../../../steps/carry-out.ts';
import { bindSteps } from '../../../steps/step-table.ts';
import { observeHere } from '../facts.ts';
import { timed, timedSteps } from '../phases.ts';
import { dated, observeForTarget } from '../point-in-time/facts.ts';
import { type RecoveryRun, recoverySteps } from '../point-in-time/steps.ts';
import { newRun } from '../run.ts';
import { planRehearsal, planTargetRehearsal, rehearsed } from './plan.ts';

/** The copy after it was opened. */
export interface Opened {
  readonly server: Server;
  readonly timeline: number | undefined;
  readonly target: string | undefined;
  readonly replayed: Replayed;
  readonly replay: DrillReport['replay'];
}

async function plan(copy: StandbyDeps, asked: RequestedTarget | undefined) {
  const here = await observeHere(copy, asked !== undefined);
  const facts = rehearsed(here);
  if (asked === undefined) return { facts, ...planRehearsal(facts) };
  const requested = dated(copy, here, asked);
  const forTarget = await observeForTarget(copy, here, requested);
  return { facts, ...planTargetRehearsal({ ...facts, ...forTarget }, requested) };
}

function replayOf(
  from: bigint | undefined,
  { lsn: to }: Replayed,
  seconds: number,
): DrillReport['replay'] | undefined {
  if (from === undefined || to === undefined || to < from) return undefined;
  const bytes = Number(to - from);
  const rate = seconds > 0 ? { bytesPerSecond: Math.round(bytes / seconds) } : {};
  return { from: formatLsn(from), to: formatLsn(to), bytes, seconds, ...rate };
}

/** @param phases gets the times of the phases, also of those before a failure */
export async function openCopy(
  copy: StandbyDeps,
  asked: RequestedTarget | undefined,
  phases: Phase[],
): Promise<Opened> {
  const { facts, steps, shown } = await timed(copy, phases, 'planning', () => plan(copy, asked));
  const run: RecoveryRun = { ...newRun(copy, facts, phases), place: facts.place, shown: shown ?? '' };
  await carryOut(copy, bindSteps(steps, recoverySteps, run, timedSteps(copy, phases)));
  const replayed = run.reached ?? run.replayed ?? (await askReplayed(run.server));
  return {
    server: run.server,
    timeline: run.timeline,
    target: shown,
    replayed,
    replay: replayOf(nextRecordOf(facts.directory, undefined), replayed, replaySeconds(phases)),
  };
}

/** The time of the last commit in the copy; undefined if none was replayed. */
export function commitTime({ time }: Replayed): string | undefined {
  return time === undefined ? undefined : formatUtc(time);
}
