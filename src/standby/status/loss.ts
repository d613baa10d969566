/** The loss of a failover now: WAL that the primary has written and that is not here. Pure. */
import { type Point, trendOf } from '../../status/trend.ts';

/** How far the primary is known to have written. */
interface PrimaryEnd {
  readonly lsn: bigint;
  /** Seconds since it was known; 0 if it was asked now. */
  readonly ageS: number;
  /** Bytes that it wrote per second until then; undefined if that is not known. */
  readonly perS: number | undefined;
}

export interface LossFacts {
  /** How far this host can replay, with what it would fetch from other standbys. */
  readonly reach: bigint;
  readonly primaryEnd: bigint;
  /** Seconds since the end of the primary's WAL was known; 0 if it was asked now. */
  readonly knownAgeS: number;
  /** Bytes that the primary wrote per second until then. */
  readonly perS: number | undefined;
  /** If it has written on at that rate; without a rate, what was known then. */
  readonly bytes: number;
  /** All that would be lost was committed within so many seconds; undefined if nothing shows that. */
  readonly seconds: number | undefined;
  /** The WAL of the primary was seen now: no more than that is lost, but for what it writes from now on. */
  readonly isAtMost: boolean;
}

export interface Heard {
  /** From the primary itself, now. */
  readonly asked: bigint | undefined;
  /** By the WAL receiver, and seconds since its last message. */
  readonly received: { readonly lsn: bigint; readonly ageS: number } | undefined;
  /** From earlier views, on the clock of `nowMs`. */
  readonly points: readonly Point[];
  readonly nowMs: number;
}

const rateMs = 10 * 60_000;

function ratePerS({ points, nowMs }: Heard): number | undefined {
  const last = points.at(-1);
  // The time in which nothing was heard must not count as one in which nothing was written.
  const rate = last && trendOf(points, Math.min(nowMs, last.ms), rateMs)?.rate;
  return rate === undefined ? undefined : Math.max(0, rate);
}

/** The furthest that is known; undefined if nothing ever was. */
export function primaryEndOf(heard: Heard): PrimaryEnd | undefined {
  const { asked, received, points, nowMs } = heard;
  const perS = ratePerS(heard);
  if (asked !== undefined) return { lsn: asked, ageS: 0, perS };
  const last = points.at(-1);
  const sampled = last && {
    lsn: BigInt(Math.round(last.value)),
    ageS: Math.max(0, (nowMs - last.ms) / 1000),
  };
  const best = [received, sampled]
    .filter((one) => one !== undefined)
    .sort((a, b) => a.ageS - b.ageS)
    .at(0);
  return best && { ...best, perS };
}

/** Each is a time within which all that would be lost was committed. */
export interface Spans {
  /** Since the last message of the stream, if all that it announced is here. */
  readonly streamS: number | undefined;
  /** Since the last segment in the archive was written, if replay comes that far. */
  readonly archiveS: number | undefined;
  /** Since the last commit that is here, if it was replayed. */
  readonly commitS: number | undefined;
}

export function lossOf(reach: bigint, end: PrimaryEnd, spans: Spans): LossFacts {
  const written = Number(end.lsn) + (end.perS ?? 0) * end.ageS;
  const bytes = Math.max(0, Math.round(written - Number(reach)));
  const { streamS, archiveS, commitS } = spans;
  const known = [streamS, archiveS, commitS].filter((span) => span !== undefined);
  const isAtMost = end.ageS === 0;
  const shortest = known.length === 0 ? undefined : Math.min(...known);
  return {
    reach,
    primaryEnd: end.lsn,
    knownAgeS: end.ageS,
    perS: end.perS,
    bytes,
    seconds: bytes === 0 && isAtMost ? 0 : shortest,
    isAtMost,
  };
}
