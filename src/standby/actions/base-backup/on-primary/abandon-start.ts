import { PitrError } from '../../../../errors.ts';
import { sessionsNamingSql, stopBackupSql } from '../../../../postgres/backup-sql.ts';
import { systemClock } from '../../../../system/clock.ts';
import { findExclusiveBackup } from '../../../primary/backup-in-progress.ts';
import type { BackupContext } from '../context.ts';
import { helperSchemaOf } from './helper-schema.ts';

const pollMs = 1000;

/**
 * Ends an exclusive backup whose start was not answered. The primary continues its checkpoint even if the session is
 * lost, and is in backup mode afterwards. Until then there is no label by which the backup could be ended.
 */
export async function abandonStart(
  { deps, primary }: BackupContext,
  label: string,
  pause = systemClock().pause,
): Promise<void> {
  const limitMs = deps.settings.wal_timeout * 1000;
  const startMs = deps.monotonicMs();
  for (;;) {
    // This order is necessary: if the start completes between the two queries, the label exists.
    const isUnderWay = (await primary.queryAside(sessionsNamingSql(label))).length > 0;
    const current = await findExclusiveBackup({ facts: primary.facts, query: primary.queryAside });
    if (!isUnderWay) {
      if (current?.label === label)
        await primary.queryAside(stopBackupSql(helperSchemaOf(primary), label), limitMs);
      return;
    }
    if (deps.monotonicMs() - startMs > limitMs) {
      throw new PitrError(
        `the primary is still beginning the backup "${label}"; the next -B ends it, and so does -A stop_basebackup`,
      );
    }
    await pause(pollMs);
  }
}
