import type { StandbyRecord } from '../host/backup-record/record.ts';
import { type DataDirectory, wasInRecovery } from '../server/data-directory.ts';
import type { Objection } from '../steps/objections.ts';

/**
 * Whether the server had left recovery before it ended, but its failover was not completed. If it ended right after it had
 * opened, only the record that a promotion was about to begin says so.
 */
export function hasUnfinishedFailover({ record, control, backupLabel }: DataDirectory): boolean {
  if (control === undefined || backupLabel !== undefined || wasInRecovery(control)) return false;
  return record.isFailoverUnfinished === true || record.promotion !== undefined;
}

/** The unfinished change of roles, and the action that finishes it. */
export function unfinishedAction({ switchover }: Pick<StandbyRecord, 'switchover'>) {
  return switchover === undefined
    ? { what: 'failover', action: '-F999' }
    : { what: 'switchover', action: '--switchover' };
}

/** Whether the failover configuration is in force: everything but the action was done. */
export function isInFailoverConfiguration(record: StandbyRecord): boolean {
  if (record.promotedAtTimeline === undefined) return false;
  return record.isFailoverUnfinished !== true || record.isActionBegun === true;
}

/**
 * Data that the server received after its promotion may exist nowhere else, although its failover was never reported as
 * finished.
 */
export function failoverObjections(
  pgdata: string,
  record: StandbyRecord,
  problem: string | undefined,
  hasLeftRecovery: boolean,
): Objection[] {
  if (problem !== undefined) {
    return [
      {
        name: 'unfinished-failover',
        message: `whether a failover was not finished here is unknown: ${problem}`,
        hint: 'If the server here was promoted, it may hold data that exists nowhere else. Correct the file.',
        cost: '-B replaces pgdata, and data that exists only there is lost',
      },
    ];
  }
  // If it ended right after it had opened, only the record that a promotion was about to begin says so.
  const hasOpened = record.promotion !== undefined && hasLeftRecovery;
  if (record.isFailoverUnfinished !== true && !hasOpened) return [];
  const { promotedAtTimeline: timeline } = record;
  const onto = timeline === undefined ? '' : ` at timeline ${timeline}`;
  return [
    {
      name: 'unfinished-failover',
      message: `pgdata "${pgdata}" holds a server that was promoted${onto}, and whose ${unfinishedAction(record).what} was not finished`,
      hint: `Run ${unfinishedAction(record).action} again to finish it.`,
      cost: '-B replaces it, and all that it took since is lost',
    },
  ];
}
