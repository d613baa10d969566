import type { Severity } from '../../system/notify.ts';

/** The reason why a standby did not accept the WAL. All of these are expected: the WAL goes to the queue. */
export type TroubleKind =
  /** No ssh connection, or it was lost. */
  | 'unreachable'
  /** archivedir does not exist: the standby is not initialized, or its file system is not mounted. */
  | 'no-directory'
  | 'no-space'
  /** The transfer did not end in time. */
  | 'slow'
  /** Any other message of the transfer or the standby's shell. */
  | 'failed'
  /** A program is missing on this host. */
  | 'misconfigured'
  | 'no-sentinel'
  /** archivedir belongs to another cluster. */
  | 'foreign'
  /** The standby was promoted: it is a primary now. */
  | 'promoted'
  /** Others may write to archivedir, or its file system has no hard links, or a login there prints text. */
  | 'unfit'
  /** A file of the same name with other contents exists there. */
  | 'conflict'
  /** This server is itself a standby, and the file does not exist there yet. */
  | 'in-recovery';

export interface Trouble {
  readonly kind: TroubleKind;
  /** Lower case, no full stop. */
  readonly reason: string;
  readonly hint?: string | undefined;
}

/** Critical: an operator must act. */
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
