import { messageOf, PitrError } from '../../errors.ts';
import { sinceBoot, type Clock, type Moment } from '../../system/clock.ts';
import { exists, readIfExists } from '../../system/durable.ts';
import type { SaidState, Severity } from '../../system/notify.ts';
import { replaceDurably, reserveSpare } from '../../system/replaceable.ts';
import type { Lane } from './lane.ts';
import { severityOf, type TroubleKind } from '../delivery/trouble.ts';

/** The condition of a lane. */
export type Health =
  | 'ok'
  /** It was reached, but its queue is not empty yet. */
  | 'behind'
  /** The standby did not accept the WAL, and it could not be queued either. */
  | 'unsafe'
  | 'abandoned'
  | TroubleKind;

export interface Abandoned {
  /** ISO 8601. */
  readonly since: string;
  /** By the operator, or by `queue_full: abandon`. */
  readonly by: 'operator' | 'policy';
  /** The WAL that the standby will never get: oldest and newest name. */
  readonly firstLost?: string | undefined;
  readonly lastLost?: string | undefined;
}

/** The memory of one lane between calls. Only the holder of its lock writes it. */
export interface LaneState {
  readonly health: Health;
  /** When `health` got its present value; ISO 8601. */
  readonly since?: string | undefined;
  /** The same moment for programs to measure from, because the time of day may be set. */
  readonly sinceMoment?: Moment | undefined;
  readonly reason?: string | undefined;
  /** We do not contact the standby before this time: milliseconds since 1970. */
  readonly retryAt?: number | undefined;
  readonly said?: SaidState | undefined;
  /** The last resume request that was seen: one request ends one abandonment only. */
  readonly seenRequest?: string | undefined;
  readonly abandoned?: Abandoned | undefined;
  /**
   * Changes each time its queue is freed: it shows a process that remembers the queue's contents that they are gone.
   */
  readonly freed?: string | undefined;
}

const fresh: LaneState = { health: 'ok' };

export async function readLaneState({ stateFile, name }: Lane): Promise<LaneState> {
  const content = await readIfExists(stateFile);
  if (content === undefined) return fresh;
  try {
    const value: unknown = JSON.parse(content.toString('utf8'));
    if (typeof value === 'object' && value !== null && 'health' in value) return value as LaneState;
    throw new Error('it has no "health"');
  } catch (error) {
    // Continuing as if nothing were known would forget that the standby may be abandoned.
    throw new PitrError(`cannot understand "${stateFile}"`, {
      detail: messageOf(error),
      hint: `Remove it if the standby "${name}" is not abandoned; else remove it and run --abandon ${name}.`,
    });
  }
}

/** The space for a state is limited: a reason with long quotations is cut. */
const longestReason = 1_500;

/** This also works on a full disk: there, too, notifications and abandonments must not be forgotten. */
export async function writeLaneState({ stateFile }: Lane, state: LaneState): Promise<void> {
  const reason = state.reason?.slice(0, longestReason);
  const text = JSON.stringify({ ...state, reason }, undefined, 2);
  await replaceDurably(stateFile, text);
}

/** Makes the file, and the space for the next one, before the disk is ever full. `-I` begins a lane in this way. */
export async function beginLaneState(lane: Lane): Promise<void> {
  if (await exists(lane.stateFile)) await reserveSpare(lane.stateFile);
  else await writeLaneState(lane, fresh);
}

/** The same for a lane that exists already: the file itself is a trace that only `-I` and a delivery may leave. */
export async function reserveLaneState({ stateFile }: Lane): Promise<void> {
  if (await exists(stateFile)) await reserveSpare(stateFile);
}

export function severityOfHealth(health: Health): Severity {
  if (health === 'ok') return 'ok';
  if (health === 'behind') return 'warning';
  if (health === 'unsafe' || health === 'abandoned') return 'critical';
  return severityOf(health);
}

/**
 * Since when, by `monotonicMs`, the lane has been in its present trouble; undefined if it is in none, or if that is
 * unknown.
 */
export function troubleSinceMs(
  clock: Pick<Clock, 'moment'>,
  { health, sinceMoment }: LaneState,
): number | undefined {
  if (health === 'ok' || health === 'behind' || health === 'abandoned') return undefined;
  return sinceBoot(clock, sinceMoment);
}

/**
 * A standby in trouble must take only a small part of each call's time: it rests for five times as long as a try
 * took.
 */
const restFactor = 5;
const longestRestMs = 60_000;

/** A conflict is found only by sending the file again, and only an operator can end it: it is retried least often. */
export function restUntil(nowMs: number, tookMs: number, kind: TroubleKind): number {
  return nowMs + (kind === 'conflict' ? longestRestMs : Math.min(longestRestMs, tookMs * restFactor));
}

/** A `retryAt` that is further away than any rest comes from a clock that was set back. */
export function isResting(state: LaneState, nowMs: number): boolean {
  return state.retryAt !== undefined && state.retryAt > nowMs && state.retryAt - nowMs <= longestRestMs;
}

/** The state with `name` counted among the WAL that the standby will never get. */
export function withLost(abandoned: Abandoned, names: readonly string[]): Abandoned {
  const known = [abandoned.firstLost, abandoned.lastLost].filter((name) => name !== undefined);
  const all = [...known, ...names].sort();
  return { ...abandoned, firstLost: all[0], lastLost: all.at(-1) };
}
