import { notStartedHere, type Started } from '../../server/local-server.ts';
import type { Replayed } from '../../recovery/replayed.ts';
import type { ArchiveEnd, Archiving } from './outcome.ts';

/** What the steps learn as they go. */
export interface FailoverRun {
  started: Started;
  isOpen: boolean;
  /** Since when pg_control says so, while the server answers nothing. */
  openSinceMs: number | undefined;
  timeline: number | undefined;
  /** As the server said right after it had opened: a restart forgets it. */
  replayed: Replayed | undefined;
  archiveEnd: ArchiveEnd | undefined;
  archiving: Archiving | undefined;
  /** The server may have been told to promote itself: it opens when it has no more WAL, whatever becomes of this run. */
  isPromoted: boolean;
  /** How action_failover failed; undefined while it has not. */
  actionFailure: string | undefined;
}

export function newRun(): FailoverRun {
  return {
    started: notStartedHere,
    isOpen: false,
    openSinceMs: undefined,
    timeline: undefined,
    replayed: undefined,
    archiveEnd: undefined,
    archiving: undefined,
    isPromoted: false,
    actionFailure: undefined,
  };
}
