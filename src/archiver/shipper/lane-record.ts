import type { Lock } from '../../system/lock.ts';
import type { SaidState } from '../../system/notify.ts';
import type { Concern } from '../delivery/trouble.ts';
import type { Asked, CatchUp } from '../lane/catch-up.ts';
import type { Lane } from '../lane/lane.ts';
import type { QueueUse } from '../queue/queue.ts';
import { createWakeUp, type WakeUp } from './signal.ts';

/** What the shipper remembers of a lane's catch-up. */
interface LaneCatchUp {
  /** Nothing is to be done for it before this time; `Infinity` if the standby is known to have everything. */
  dueMs: number;
  /** As far as it has come, over the present connection. */
  run: CatchUp | undefined;
  /** The standby is being asked: its answer wakes the lane. */
  isAsking: boolean;
  /** What it answered, until the lane has dealt with it. */
  answer: Asked | undefined;
  /** When the lane's state was last checked for a proof that is gone. */
  lookedMs: number;
  /** How long to wait for files that come by themselves. */
  waitMs: number;
  /** Why it is not known what the standby has, as the log knows it. */
  toldReason: string | undefined;
}

/** A lane, and what the shipper remembers of it. All times are those of `monotonicMs`. */
export interface ShipperLane extends Lane {
  readonly wakeUp: WakeUp;
  /** It was not contacted yet. */
  isNew: boolean;
  /** It has a queue, or did not confirm in time: new files are queued at once, and delivered from the queue. */
  isBehind: boolean;
  /** It is not contacted before this time. */
  restUntilMs: number;
  /** A try of this process has failed since the standby last accepted a file. */
  hasFailed: boolean;
  /** The trouble that the log knows of. */
  toldReason: string | undefined;
  /** What the operator must know of it, although it takes WAL. */
  concern: Concern | undefined;
  /** When it was last greeted. */
  greetedMs: number;
  /** The speed of the last transfers; 0 as long as none has ended. */
  bytesPerMs: number;
  /** The lane's lock while this process holds it. */
  lock: Lock | undefined;
  /** Ends the transfer that reads from pg_wal. */
  stopDirect: AbortController;
  /** Files that this lane is sending directly from pg_wal. */
  readonly inFlight: Set<string>;
  /** Why its queue accepts nothing, until when no new attempt is made, and whether the operator must be notified. */
  blocked: { readonly reason: string; readonly untilMs: number; readonly isNews: boolean } | undefined;
  /** Since when PostgreSQL has been waiting, at least from time to time, for room in its queue. */
  fullSinceMs: number | undefined;
  /** Since when it has been in trouble. It comes from the state file, and counts only after a failure of our own. */
  troubleSinceMs: number | undefined;
  /** When its state file was last checked for changes by other processes. */
  lookedMs: number;
  isAbandoned: boolean;
  /** `freed` of its state file, as far as the board knows it. */
  freed: string | undefined;
  /** It is abandoned, and may be asked whether it wants WAL again. */
  isPollDue: boolean;
  /** When it last accepted a file. */
  lastDeliveredMs: number;
  /** The contents of the queue; undefined until it was counted. */
  queueUse: QueueUse | undefined;
  /** The last report of this process about it: on some disks the state file cannot be written any more. */
  said: SaidState | undefined;
  /** The last note on its state file: one at a time. */
  recording: Promise<void>;
  readonly catchUp: LaneCatchUp;
}

export function createShipperLane(lane: Lane): ShipperLane {
  return {
    ...lane,
    wakeUp: createWakeUp(),
    isNew: true,
    isBehind: false,
    restUntilMs: 0,
    hasFailed: false,
    toldReason: undefined,
    concern: undefined,
    greetedMs: -Infinity,
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
    catchUp: {
      dueMs: 0,
      lookedMs: -Infinity,
      run: undefined,
      isAsking: false,
      answer: undefined,
      waitMs: 0,
      toldReason: undefined,
    },
  };
}
