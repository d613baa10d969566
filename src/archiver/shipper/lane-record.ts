import type { Lock } from '../../system/lock.ts';
import type { SaidState } from '../../system/notify.ts';
import type { Lane } from '../lane/lane.ts';
import type { QueueUse } from '../queue/room.ts';
import { createWakeUp, type WakeUp } from './signal.ts';

/** A lane, and what the shipper remembers of it. Its times are those of `monotonicMs`. */
export interface ShipperLane extends Lane {
  readonly wakeUp: WakeUp;
  /** It was not spoken to yet. */
  isNew: boolean;
  /** It has a queue, or did not confirm in time: what comes is queued at once, and delivered from the queue. */
  isBehind: boolean;
  /** It is left in peace until then. */
  restUntilMs: number;
  failures: number;
  /** The trouble that the log knows of. */
  toldReason: string | undefined;
  /** Of the last transfers; 0 as long as none has ended. */
  bytesPerMs: number;
  /** The lane's lock while this process holds it. */
  lock: Lock | undefined;
  /** Ends the transfer that reads from pg_wal. */
  stopDirect: AbortController;
  /** Files that this lane is sending straight from pg_wal. */
  readonly inFlight: Set<string>;
  /** Why its queue takes nothing, until when that is not tried again, and whether the operator is to know. */
  blocked: { readonly reason: string; readonly untilMs: number; readonly isNews: boolean } | undefined;
  /** Since when PostgreSQL has been waiting, now and then at least, for room in its queue. */
  fullSinceMs: number | undefined;
  /** Since when it has been in trouble. Read from the state file, so only believed after a failure of our own. */
  troubleSinceMs: number | undefined;
  /** When its state file was last looked at for what other processes did to it. */
  lookedMs: number;
  isAbandoned: boolean;
  /** `freed` of its state file, as far as the board knows of it. */
  freed: string | undefined;
  /** It is abandoned, and may be asked whether it wants WAL again. */
  isPollDue: boolean;
  /** When it last took a file. */
  lastDeliveredMs: number;
  /** What the queue holds; undefined until it was counted. */
  queueUse: QueueUse | undefined;
  /** What this process said of it last: on some disks the state file cannot be written any more. */
  said: SaidState | undefined;
  /** The last note on its state file: one at a time. */
  recording: Promise<void>;
}

export function createShipperLane(lane: Lane): ShipperLane {
  return {
    ...lane,
    wakeUp: createWakeUp(),
    isNew: true,
    isBehind: false,
    restUntilMs: 0,
    failures: 0,
    toldReason: undefined,
    bytesPerMs: 0,
    lock: undefined,
    stopDirect: new AbortController(),
    inFlight: new Set(),
    blocked: undefined,
    fullSinceMs: undefined,
    troubleSinceMs: undefined,
    lookedMs: -Infinity,
    isAbandoned: false,
    freed: undefined,
    isPollDue: false,
    lastDeliveredMs: -Infinity,
    queueUse: undefined,
    said: undefined,
    recording: Promise.resolve(),
  };
}
