/** The last drill by its record. */
import { messageOf } from '../../errors.ts';
import { NotKnown } from '../../status/fact.ts';
import type { StandbyDeps } from '../deps.ts';
import { readLastDrill } from '../drill/record.ts';

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

/** Undefined if there was none, or if no directory is set for drills. */
export async function observeDrill({
  settings: { drill_dir },
  now,
}: Pick<StandbyDeps, 'settings' | 'now'>): Promise<DrillFacts | undefined> {
  if (drill_dir === undefined) return undefined;
  const found = await readLastDrill(drill_dir).catch((error: unknown) => {
    throw new NotKnown(`its record cannot be read: ${messageOf(error)}`);
  });
  if (found === undefined) return undefined;
  const { last, passedAt } = found;
  const passedMs = passedAt === undefined ? NaN : Date.parse(passedAt);
  return {
    result: last.result,
    endedAt: last.endedAt,
    failure: last.failure?.message,
    passedAgeS: Number.isNaN(passedMs) ? undefined : Math.max(0, (now() - passedMs) / 1000),
    rtoSeconds: last.rtoSeconds,
    rpoBytes: last.rpo.bytes,
    rpoSeconds: last.rpo.seconds,
  };
}

/** The trouble that an operator should know of, lower case; undefined if all is well. `maxAgeS`: undefined for any age. */
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
