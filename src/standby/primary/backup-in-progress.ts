import { type BackupLabel, parseBackupLabel } from '../../postgres/backup-label.ts';
import { exclusiveBackupLabelSql } from '../../postgres/backup-sql.ts';
import type { Primary } from './primary.ts';

/**
 * The file with the label of the exclusive backup that a run began (up to 9.5), in archivedir or, for a drill, in drill_dir. It
 * distinguishes the backup of a killed run from one that was begun on purpose, by -A start_basebackup or with another INI file
 * on this host.
 */
export const backupNoteName = '.cmd_standby.backup';

/** The exclusive backup in progress on the primary. It outlives the session that began it (up to 14). */
export type BackupInProgress = Pick<BackupLabel, 'label' | 'startTime'>;

/** Labels of this standby begin so; the rest names the run. */
export function ownLabelPrefix(standby: string): string {
  return `pitrtools ${standby} `;
}

export async function findExclusiveBackup({
  facts,
  query,
}: Pick<Primary, 'facts' | 'query'>): Promise<BackupInProgress | undefined> {
  const [row] = await query(exclusiveBackupLabelSql(facts.capabilities));
  return row === undefined ? undefined : parseBackupLabel(row[0] ?? '', 'backup_label');
}
