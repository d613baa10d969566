/** The cluster in pgdata as cmd_archiver --status shows it. */
import { join } from 'node:path';
import { exists } from '../../system/durable.ts';
import { readPostmaster } from '../../system/postmaster.ts';
import { type Cluster, readCluster } from '../wal/cluster.ts';
import { isUnstartedCopy, recoveryFileOf } from '../wal/recovery-signs.ts';

export interface ShownCluster extends Cluster {
  /** A base backup on which no server was started yet: WAL is only collected for it. */
  readonly isCold?: boolean;
}

/**
 * The pg_control of a base backup is a copy of the primary's, and calls it in production. A backup_label alone proves
 * nothing: up to 14 a primary that died during a base backup has one as well.
 */
async function isCold(pgdata: string): Promise<boolean> {
  if (!(await exists(join(pgdata, 'backup_label')))) return false;
  const { kind } = await readPostmaster(pgdata);
  if (kind !== 'none' && kind !== 'stale') return false;
  return (await recoveryFileOf(pgdata)) !== undefined || isUnstartedCopy(pgdata);
}

export async function observeCluster(pgdata: string): Promise<ShownCluster> {
  const cluster = await readCluster(pgdata);
  if (cluster.isInRecovery || !(await isCold(pgdata))) return cluster;
  return { ...cluster, isInRecovery: true, isCold: true };
}
