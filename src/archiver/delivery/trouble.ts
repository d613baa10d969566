import type { LeftTimeline } from '../../postgres/left-timeline.ts';
import type { Severity } from '../../system/notify.ts';

/** The reason why a standby did not accept the WAL. All of these are expected: the WAL goes to the queue. Critical: an operator must act. */
export const troubleSeverities = {
  /** No ssh connection, or it was lost. */
  unreachable: 'warning',
  /** archivedir does not exist: the standby is not initialized, or its file system is not mounted. */
  'no-directory': 'warning',
  'no-space': 'warning',
  /** The transfer did not end in time. */
  slow: 'warning',
  /** Any other message of the transfer or the standby's shell. */
  failed: 'warning',
  /** A program is missing on this host. */
  misconfigured: 'critical',
  'no-sentinel': 'critical',
  /** archivedir belongs to another cluster. */
  foreign: 'critical',
  /** The standby was promoted: it is a primary now. */
  promoted: 'critical',
  /** Other users can write to archivedir, or its file system has no hard links, or a login there prints text. */
  unfit: 'critical',
  /** Its sentinel says that this timeline was left before the end of the file: this server is an old primary. */
  left: 'critical',
  /** The sentinel was given or lost such a mark while files were sent: the standby is greeted again. */
  'marks-changed': 'warning',
  /** A file of the same name with other contents exists there. */
  conflict: 'critical',
  /** A compressed file in the queue is damaged, and the segment could not be taken from pg_wal again. */
  damaged: 'critical',
  /** This server is itself a standby, and the file does not exist there yet. */
  'in-recovery': 'critical',
  /** Patroni runs the server here, and does not hold the leader's lock. */
  'not-leader': 'warning',
} as const satisfies Readonly<Record<string, Severity>>;

export type TroubleKind = keyof typeof troubleSeverities;

export interface Trouble {
  readonly kind: TroubleKind;
  /** Lower case, no full stop. */
  readonly reason: string;
  readonly hint?: string | undefined;
  /** For `left`: the mark that forbids the WAL. */
  readonly mark?: LeftTimeline | undefined;
  /** It concerns only frames: as they are, the standby may accept the same files. */
  readonly isOfFrames?: true | undefined;
}

/** Problems that an operator must know of, with a standby that takes WAL all the same. */
export const concernSeverities = {
  /** It has replayed a timeline past the location where it was left: it cannot follow any more. */
  diverged: 'critical',
  /** It could not be informed of a timeline that was left. */
  unmarked: 'warning',
} as const satisfies Readonly<Record<string, Severity>>;

export interface Concern {
  readonly kind: keyof typeof concernSeverities;
  /** Lower case, no full stop. */
  readonly reason: string;
  readonly hint: string;
}

/** The trouble of which only its reason is known. */
export function failed(reason: string): Trouble {
  return { kind: 'failed', reason };
}
