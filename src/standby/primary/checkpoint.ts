import type { StandbySettings } from '../../config/options-standby.ts';
import { checkpointSql, isTrue, mayCheckpointSql } from '../../postgres/backup-sql.ts';
import type { Primary } from './primary.ts';

type Asked = Pick<Primary, 'facts' | 'query'>;

/** One at once writes all that is dirty: on a busy primary that takes its time. */
const fastMs = 30 * 60_000;

/** How long the checkpoint may take that a backup begins with: a spread one keeps to the primary's checkpoint_timeout. */
export function checkpointLimitMs(
  settings: Pick<StandbySettings, 'basebackup_checkpoint' | 'base_backup_timeout'>,
): number {
  return settings.basebackup_checkpoint === 'fast' ? fastMs : settings.base_backup_timeout * 1000;
}

/** Whether our role may ask the server for a checkpoint. */
export async function mayCheckpoint({ facts, query }: Asked): Promise<boolean> {
  return isTrue(await query(mayCheckpointSql(facts.capabilities)));
}

/** Has the server make a checkpoint at once; on a standby, a restartpoint. */
export async function checkpoint({ query }: Asked): Promise<void> {
  await query(checkpointSql, fastMs);
}
