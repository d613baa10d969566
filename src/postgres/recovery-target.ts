/** The points at which a recovery can be made to stop (manual, section "Recovery Target"). */
import { parseLsn } from './lsn.ts';

/** Kinds as `Capabilities.recoveryTargets` lists them. */
export type RecoveryGoal =
  /** Microseconds since 1970 in UTC. */
  | { readonly kind: 'time'; readonly micros: bigint }
  /** The number as WAL contains it: 32 bits. */
  | { readonly kind: 'xid'; readonly xid: number }
  | { readonly kind: 'lsn'; readonly lsn: bigint }
  /** A point that `pg_create_restore_point()` has named. */
  | { readonly kind: 'name'; readonly name: string }
  /** The first point at which the base backup is consistent. */
  | { readonly kind: 'immediate' };

/** The server's action at the target. */
const targetActions = ['promote', 'pause', 'shutdown'] as const;
export type TargetAction = (typeof targetActions)[number];

/** `current` is the timeline of the base backup. */
export type TargetTimeline = 'latest' | 'current' | number;

export interface RecoveryTargetSettings {
  readonly goal: RecoveryGoal;
  /** Stop before the target, not after it. Only for time, xid and LSN. */
  readonly exclusive: boolean;
  readonly timeline: TargetTimeline;
  readonly action: TargetAction;
}

export type Parsed<T> =
  { readonly kind: 'good'; readonly value: T } | { readonly kind: 'bad'; readonly reason: string };

const good = <T>(value: T): Parsed<T> => ({ kind: 'good', value });
const bad = (reason: string): Parsed<never> => ({ kind: 'bad', reason });

/** Smaller numbers belong to the system itself. */
const firstNormalXid = 3;
const largest64Bits = 0xffff_ffff_ffff_ffffn;

/** A transaction's number with or without the epoch in its upper half, as `txid_current()` gives it. */
export function parseXid(text: string): Parsed<number> {
  const wanted = `'${text}' is not the number of a transaction`;
  if (!/^\d{1,20}$/.test(text) || BigInt(text) > largest64Bits) return bad(wanted);
  const xid = Number(BigInt(text) & 0xffff_ffffn);
  return xid < firstNormalXid
    ? bad(`${wanted}: the transactions of users have numbers from 3 on`)
    : good(xid);
}

export function parseTargetLsn(text: string): Parsed<bigint> {
  if (!/^[0-9A-Fa-f]{1,8}\/[0-9A-Fa-f]{1,8}$/.test(text))
    return bad(`'${text}' is not a location in the WAL such as 1/25000020`);
  const lsn = parseLsn(text);
  return lsn === 0n ? bad('no WAL lies at 0/0') : good(lsn);
}

/** The server keeps the name in 64 bytes, the last of them zero. */
const longestName = 63;

export function parseTargetName(text: string): Parsed<string> {
  if (text === '') return bad('the name of a restore point cannot be empty');
  const bytes = new TextEncoder().encode(text).length;
  if (bytes > longestName)
    return bad(`the name of a restore point has at most ${longestName} bytes, and '${text}' has ${bytes}`);
  return /[\n\r\0]/.test(text) ? bad('the name of a restore point cannot hold a line break') : good(text);
}

export function parseTargetTimeline(text: string): Parsed<TargetTimeline> {
  if (text === 'latest' || text === 'current') return good(text);
  const timeline = /^\d{1,10}$/.test(text) ? Number(text) : 0;
  if (timeline >= 1 && timeline <= 0xffff_ffff) return good(timeline);
  return bad(`'${text}' is not a timeline: a number, latest or current`);
}

export function parseTargetAction(text: string): Parsed<TargetAction> {
  const action = targetActions.find((one) => one === text);
  return action === undefined ? bad(`'${text}' is not one of ${targetActions.join(', ')}`) : good(action);
}
