import type { Severity } from '../../system/notify.ts';

/** Why a standby did not take what it was sent. All of these are expected: the WAL goes to the queue. */
export type TroubleKind =
  /** No ssh connection, or it broke. */
  | 'unreachable'
  /** archivedir is not there: the standby is not initialized, or its file system is not mounted. */
  | 'no-directory'
  | 'no-space'
  /** The transfer did not end in time. */
  | 'slow'
  /** Anything else that the transfer or the standby's shell said. */
  | 'failed'
  /** A program is missing on this host. */
  | 'misconfigured'
  | 'no-sentinel'
  /** archivedir belongs to another cluster. */
  | 'foreign'
  /** The standby was promoted: it is a primary now. */
  | 'promoted'
  /** archivedir lets others write, or lies where no file can be given its name without replacing another; or a login there prints. */
  | 'unfit'
  /** A file of the same name and other bytes is there. */
  | 'conflict'
  /** This server is a standby itself, and the file is not there yet. */
  | 'in-recovery';

export interface Trouble {
  readonly kind: TroubleKind;
  /** Lower case, no full stop. */
  readonly reason: string;
  readonly hint?: string | undefined;
}

/** Critical: nothing will get better by itself. */
const criticalKinds: ReadonlySet<TroubleKind> = new Set([
  'misconfigured',
  'no-sentinel',
  'foreign',
  'promoted',
  'unfit',
  'conflict',
  'in-recovery',
]);

export function severityOf(kind: TroubleKind): Severity {
  return criticalKinds.has(kind) ? 'critical' : 'warning';
}
