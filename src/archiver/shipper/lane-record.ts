import type { Lock } from '../../system/lock.ts';
import type { SaidState } from '../../system/notify.ts';
import type { SegmentTaker } from '../delivery/take-segment.ts';
import type { Concern } from '../delivery/trouble.ts';
import type { Asked, CatchUp } from '../lane/catch-up.ts';
import type { Lane } from '../lane/lane.ts';
import type { KnownStanding } from '../lane/left-state.ts';
import type { QueueUse } from '../queue/queue.ts';
import { createWakeUp } from './signal.ts';

interface Blocked {
  readonly reason: string;
  /** Until then no new attempt is made. */
  readonly untilMs: number;
  /** The operator must be notified. */
  readonly isNews: boolean;
}

/** A lane, and what the shipper remembers of it. All times are those of `monotonicMs`. */
export type ShipperLane = ReturnType<typeof createShipperLane>;

export function createShipperLane(lane: Lane) {
  return {
    ...lane,
    wakeUp: createWakeUp(),
    /** It was not contacted yet. */
    isNew: true,
    /** It has a queue, or did not confirm in time: new files are queued at once, and delivered from the queue. */
    isBehind: false,
    /** It is not contacted before this time. */
    restUntilMs: 0,
    /** A try of this process has failed since the standby last accepted a file. */
    hasFailed: false,
    /** The trouble that the log knows of. */
    toldReason: undefined as string | undefined,
    /** A problem that the operator must know of, although the standby takes WAL. */
    concern: undefined as Concern | undefined,
    /** How it stands to the timelines that were left, until the lane has noted that. */
    standings: undefined as readonly KnownStanding[] | undefined,
    /** `left_timelines` at the last greeting. */
    marksVersion: undefined as string | undefined,
    /** When it was last greeted. */
    greetedMs: -Infinity,
    /** The speed of the last transfers; 0 as long as none has ended. */
    bytesPerMs: 0,
    /** The lane's lock while this process holds it. */
    lock: undefined as Lock | undefined,
    /** Ends the transfer that reads from pg_wal. */
    stopDirect: new AbortController(),
    /** Brings segments that travel alone, while this standby's inbox is in use. */
    taker: undefined as SegmentTaker | undefined,
    /** Whether it takes frames: not before its standby was greeted. */
    acceptsFrames: (): boolean => false,
    /** How much content one batch of frames from pg_wal may have. */
    framedBytes: 64 * 1024 * 1024,
    /** Files that this lane is sending directly from pg_wal. */
    inFlight: new Set<string>(),
    /** Why its queue accepts nothing. */
    blocked: undefined as Blocked | undefined,
    /** Since when PostgreSQL has been waiting, at least from time to time, for room in its queue. */
    fullSinceMs: undefined as number | undefined,
    /** Since when it has been in trouble. It comes from the state file, and counts only after a failure of our own. */
    troubleSinceMs: undefined as number | undefined,
    /** When its state file was last checked for changes by other processes. */
    lookedMs: -Infinity,
    isAbandoned: false,
    /** `freed` of its state file, as far as the board knows it. */
    freed: undefined as string | undefined,
    /** It is abandoned, and may be asked whether it wants WAL again. */
    isPollDue: false,
    /** When it last accepted a file. */
    lastDeliveredMs: -Infinity,
    /** The contents of the queue; undefined until it was counted. */
    queueUse: undefined as QueueUse | undefined,
    /** The last report of this process about it: on some disks the state file cannot be written any more. */
    said: undefined as SaidState | undefined,
    /** The last note on its state file: one at a time. */
    recording: Promise.resolve() as Promise<unknown>,
    catchUp: {
      /** Nothing is to be done for it before this time; `Infinity` if the standby is known to have everything. */
      dueMs: 0,
      /** As far as it has come, over the present connection. */
      run: undefined as CatchUp | undefined,
      /** The standby is being asked: its answer wakes the lane. */
      isAsking: false,
      /** Its answer, until the lane has dealt with it. */
      answer: undefined as Asked | undefined,
      /** When the lane's state was last checked for a proof that is gone. */
      lookedMs: -Infinity,
      /** How long to wait for files that come by themselves. */
      waitMs: 0,
      /** Why it is not known what the standby has, as the log knows it. */
      toldReason: undefined as string | undefined,
    },
  };
}
