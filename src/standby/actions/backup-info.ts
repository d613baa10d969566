import { join } from 'node:path';
import { refusal } from '../../errors.ts';
import { exists } from '../../system/durable.ts';
import type { StandbyDeps } from '../deps.ts';
import { backupJson, describeBackup } from '../host/backup-record/describe.ts';
import { type BackupRecord, readRecord } from '../host/backup-record/record.ts';

function stateOf({ status }: BackupRecord, hasStarted: boolean): string {
  if (status === 'copying') return 'incomplete: no server can start on it until -B has succeeded';
  return hasStarted
    ? 'complete; a server has started on it since'
    : 'complete; no server has started on it yet';
}

/** `--backup-info`: describes the base backup in pgdata by the record that -B left there. Queries no server. */
export async function showBackup(deps: StandbyDeps, options: { readonly json: boolean }): Promise<number> {
  const { pgdata } = deps.settings;
  const { backup } = await readRecord(pgdata);
  if (backup === undefined) {
    throw refusal(`"${pgdata}" holds no record of a base backup`, {
      hint: 'Only cmd_standby -B writes it: pitrtools.json in the data directory.',
    });
  }
  // A server removes the label once it has begun to recover.
  const hasStarted = backup.status === 'complete' && !(await exists(join(pgdata, 'backup_label')));
  if (options.json) deps.report(backupJson(pgdata, backup, hasStarted));
  else {
    deps.report(`Base backup in ${pgdata}`);
    for (const line of describeBackup(backup, stateOf(backup, hasStarted))) deps.report(line);
  }
  return 0;
}
