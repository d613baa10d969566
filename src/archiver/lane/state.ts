import { messageOf, PitrError } from '../../errors.ts';
import type { Moment } from '../../system/clock.ts';
import { readIfExists } from '../../system/durable.ts';
import type { SaidState, Severity } from '../../system/notify.ts';
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

export const fresh: LaneState = { health: 'ok' };

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

export function severityOfHealth(health: Health): Severity {
  if (health === 'ok') return 'ok';
  if (health === 'behind') return 'warning';
  if (health === 'unsafe' || health === 'abandoned') return 'critical';
  return severityOf(health);
}
