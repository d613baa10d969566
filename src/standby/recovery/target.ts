import { refusal } from '../../errors.ts';
import { formatLsn } from '../../postgres/lsn.ts';
import type { RecoveryGoal } from '../../postgres/recovery-target.ts';
import { formatInZone, formatUtc, parseTimestamp } from '../../postgres/timestamp.ts';
import type { RequestedGoal } from './requested-target.ts';

/** The limits within which the target must lie; undefined if unknown. Times in microseconds since 1970 in UTC. */
export interface TargetBounds {
  /** The end of the base backup. */
  readonly notBefore: bigint | undefined;
  readonly notBeforeLsn: bigint | undefined;
  /** The last commit that was replayed already. */
  readonly replayed: bigint | undefined;
  readonly replayedLsn: bigint | undefined;
  /** Every transaction before this one has ended in the data here. */
  readonly endedBeforeXid: number | undefined;
  /**
   * By this host's clock, which may be behind the primary's. A time that the WAL here has reached is accepted even if
   * it is later.
   */
  readonly now: bigint;
  /** The last commit in the WAL here; determined only if the target is later than `now`. */
  readonly lastCommit: bigint | undefined;
  /** The primary's TimeZone. */
  readonly zone: string;
}

export interface Target {
  readonly goal: RecoveryGoal;
  /** For messages; a moment in the primary's time zone and in UTC. */
  readonly shown: string;
}

export function showMoment(micros: bigint, zone: string): string {
  return `${formatInZone(micros, zone)} (${formatUtc(micros)} UTC)`;
}

/** Refuses a target that lies before the end of the base backup, or before what was replayed. */
function refuseEarlier(
  target: bigint,
  shown: string,
  { notBefore, replayed }: Partial<Pick<TargetBounds, 'notBefore' | 'replayed'>>,
  show: (place: bigint) => string,
): void {
  if (notBefore !== undefined && target < notBefore)
    throw refusal(`${shown} lies before the end of the base backup, ${show(notBefore)}`, {
      hint: 'A recovery only goes forward: an older base backup is needed.',
    });
  if (replayed !== undefined && target < replayed)
    throw refusal(`the standby has replayed past ${shown} already: up to ${show(replayed)}`, {
      hint: 'A recovery only goes forward. Make a new base backup and recover from that, or use a standby that was kept cold.',
    });
}

/** Reads the moment and refuses one to which this standby cannot be recovered. */
function chooseTime(text: string, bounds: TargetBounds, exclusive: boolean): Target {
  const parsed = parseTimestamp(text, bounds.zone);
  if (parsed.kind === 'bad') throw refusal(parsed.reason);
  const { micros } = parsed;
  const show = (moment: bigint) => showMoment(moment, bounds.zone);
  const shown = show(micros);
  if (micros > bounds.now && (bounds.lastCommit === undefined || micros > bounds.lastCommit)) {
    throw refusal(
      `${shown} lies in the future: by this host's clock it is ${formatInZone(bounds.now, bounds.zone)}, and no WAL here is known to reach so far`,
    );
  }
  // Just before a moment there is no commit of that very moment, and such a one is here.
  const isIn = exclusive && micros === bounds.replayed;
  refuseEarlier(isIn ? micros - 1n : micros, shown, bounds, show);
  return { goal: { kind: 'time', micros }, shown };
}

function chooseLsn(lsn: bigint, { notBeforeLsn: notBefore, replayedLsn: replayed }: TargetBounds): Target {
  const shown = `LSN ${formatLsn(lsn)}`;
  refuseEarlier(lsn, shown, { notBefore, replayed }, formatLsn);
  return { goal: { kind: 'lsn', lsn }, shown };
}

/** Transaction numbers wrap around: of two, the earlier one is less than half a circle behind the other. */
export function isEarlierXid(xid: number, than: number): boolean {
  return ((xid - than) | 0) < 0;
}

function chooseXid(xid: number, { endedBeforeXid }: TargetBounds): Target {
  const shown = `transaction ${xid}`;
  if (endedBeforeXid === undefined || !isEarlierXid(xid, endedBeforeXid))
    return { goal: { kind: 'xid', xid }, shown };
  throw refusal(`${shown} has ended in what is here already: all before transaction ${endedBeforeXid} have`, {
    hint: 'A recovery only goes forward: a base backup from before that transaction is needed.',
  });
}

/** @param exclusive whether the recovery stops before the target */
export function chooseTarget(requested: RequestedGoal, bounds: TargetBounds, exclusive = false): Target {
  switch (requested.kind) {
    case 'time':
      return chooseTime(requested.text, bounds, exclusive);
    case 'lsn':
      return chooseLsn(requested.lsn, bounds);
    case 'xid':
      return chooseXid(requested.xid, bounds);
    case 'name':
      return { goal: requested, shown: `restore point '${requested.name}'` };
    case 'immediate':
      return { goal: requested, shown: 'the end of the base backup' };
  }
}

/** Microseconds of a text with an offset, as a server or we wrote it; undefined if it cannot be understood. */
export function microsOf(text: string | undefined): bigint | undefined {
  if (text === undefined) return undefined;
  const parsed = parseTimestamp(text, 'an unknown zone');
  return parsed.kind === 'moment' ? parsed.micros : undefined;
}
