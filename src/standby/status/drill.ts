/** The last drill of each kind by its record. */
import { messageOf } from '../../errors.ts';
import { NotKnown } from '../../status/fact.ts';
import type { StandbyDeps } from '../deps.ts';
import { type LastDrill, readLastDrills } from '../drill/record.ts';

export interface DrillFacts {
  readonly result: 'passed' | 'failed';
  /** In ISO 8601. */
  readonly endedAt: string;
  /** Why it has failed. */
  readonly failure: string | undefined;
  /** The age of the last one that has passed; undefined if none ever has. */
  readonly passedAgeS: number | undefined;
  readonly rtoSeconds: number | undefined;
  readonly rpoBytes: number | undefined;
  readonly rpoSeconds: number | undefined;
}

/** Undefined for a kind of which there was none. */
export interface Drills {
  /** From a copy of this standby. */
  readonly ofStandby: DrillFacts | undefined;
  /** From a new base backup: it says nothing of this standby's own files. */
  readonly fromBackup: DrillFacts | undefined;
}

function factsOf(found: LastDrill | undefined, nowMs: number): DrillFacts | undefined {
  if (found === undefined) return undefined;
  const { last, passedAt } = found;
  const passedMs = passedAt === undefined ? NaN : Date.parse(passedAt);
  return {
    result: last.result,
    endedAt: last.endedAt,
    failure: last.failure?.message,
    passedAgeS: Number.isNaN(passedMs) ? undefined : Math.max(0, (nowMs - passedMs) / 1000),
    rtoSeconds: last.rtoSeconds,
    rpoBytes: last.rpo.bytes,
    rpoSeconds: last.rpo.seconds,
  };
}

/** None if no directory is set for drills. */
export async function observeDrills({
  settings: { drill_dir },
  now,
}: Pick<StandbyDeps, 'settings' | 'now'>): Promise<Drills> {
  if (drill_dir === undefined) return { ofStandby: undefined, fromBackup: undefined };
  const found = await readLastDrills(drill_dir).catch((error: unknown) => {
    throw new NotKnown(`its record cannot be read: ${messageOf(error)}`);
  });
  return { ofStandby: factsOf(found.ofStandby, now()), fromBackup: factsOf(found.fromBackup, now()) };
}

/** The trouble that an operator should know of, lower case; undefined if all is well. */
export function backupDrillTrouble(drill: DrillFacts | undefined): string | undefined {
  if (drill?.result !== 'failed') return undefined;
  return `the last drill from a new base backup has failed: ${drill.failure ?? 'for an unknown reason'}`;
}

/** The same of drills of this standby. `maxAgeS`: undefined for any age. */
export function drillTrouble(
  drill: DrillFacts | undefined,
  maxAgeS: number | undefined,
  show: (seconds: number) => string,
): string | undefined {
  if (drill?.result === 'failed')
    return `the last drill has failed: ${drill.failure ?? 'for an unknown reason'}`;
  if (maxAgeS === undefined) return undefined;
  if (drill?.passedAgeS === undefined) return 'no drill has passed here yet';
  if (drill.passedAgeS <= maxAgeS) return undefined;
  return `the last drill that has passed is ${show(drill.passedAgeS)} old`;
}
