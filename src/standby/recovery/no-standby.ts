import type { StandbyRecord } from '../host/backup-record/record.ts';
import { type DataDirectory, wasInRecovery } from '../server/data-directory.ts';
import type { Objection } from '../steps/objections.ts';
import { hasUnfinishedFailover, unfinishedAction } from './unfinished-failover.ts';

export const newBackup = 'Make a new base backup: cmd_standby -C … -B';

function finishHint(record: StandbyRecord): string {
  const { what, action } = unfinishedAction(record);
  return `Its ${what} was not finished; ${action} starts the server and finishes it.`;
}

/** Objections to a data directory that cannot become a standby. */
export function noStandbyObjections(directory: DataDirectory): readonly Objection[] {
  const { pgdata, record, control, backupLabel, controlProblem = '' } = directory;
  if (control === undefined)
    return [{ message: `cannot start on "${pgdata}": ${controlProblem}`, hint: newBackup }];
  if (backupLabel !== undefined) return [];
  if (record.promotedAtTimeline !== undefined) {
    const hint = hasUnfinishedFailover(directory) ? finishHint(record) : newBackup;
    return [
      {
        message: `the server in "${pgdata}" was promoted at timeline ${record.promotedAtTimeline}: it is no standby any more`,
        hint,
      },
    ];
  }
  if (hasUnfinishedFailover(directory)) {
    return [
      {
        message: `the server in "${pgdata}" was promoted, and its failover was not finished: it is no standby any more`,
        hint: finishHint(record),
      },
    ];
  }
  if (wasInRecovery(control)) return [];
  const last = control.state.replaceAll('-', ' ');
  return [
    {
      message: `"${pgdata}" holds no base backup: there is no backup_label, and the server was last ${last}, not in recovery`,
      hint: newBackup,
    },
  ];
}
