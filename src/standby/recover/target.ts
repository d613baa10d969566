import { refusal } from '../../errors.ts';
import { formatInZone, formatUtc, parseTimestamp } from '../../postgres/timestamp.ts';

/** What the moment must lie between. Microseconds since 1970 in UTC; undefined where it is not known. */
export interface TargetBounds {
  /** The end of the base backup. */
  readonly notBefore: bigint | undefined;
  /** The last transaction that was replayed already. */
  readonly replayed: bigint | undefined;
  readonly now: bigint;
  /** The primary's TimeZone. */
  readonly zone: string;
}

export interface Target {
  readonly micros: bigint;
  /** The moment as the primary's clock shows it, and in UTC. */
  readonly shown: string;
}

/** Reads the moment and refuses one to which this standby cannot be brought. */
export function chooseTarget(text: string, bounds: TargetBounds): Target {
  const parsed = parseTimestamp(text, bounds.zone);
  if (parsed.kind === 'bad') throw refusal(parsed.reason);
  const { micros } = parsed;
  const show = (moment: bigint) => `${formatInZone(moment, bounds.zone)} (${formatUtc(moment)} UTC)`;
  const shown = show(micros);
  if (micros > bounds.now)
    throw refusal(`${shown} lies in the future: it is ${formatInZone(bounds.now, bounds.zone)} now`);
  if (bounds.notBefore !== undefined && micros < bounds.notBefore) {
    throw refusal(`${shown} lies before the end of the base backup, ${show(bounds.notBefore)}`, {
      hint: 'Recovery goes forward only: an older base backup is needed.',
    });
  }
  if (bounds.replayed !== undefined && bounds.replayed > micros) {
    throw refusal(`the standby has replayed past ${shown} already: up to ${show(bounds.replayed)}`, {
      hint: 'Recovery goes forward only. Make a new base backup and recover from that, or use a standby that was kept cold.',
    });
  }
  return { micros, shown };
}

/** Microseconds of a text that a server or we wrote with its offset; undefined for one that cannot be understood. */
export function microsOf(text: string | undefined): bigint | undefined {
  if (text === undefined) return undefined;
  const parsed = parseTimestamp(text, 'an unknown zone');
  return parsed.kind === 'moment' ? parsed.micros : undefined;
}
