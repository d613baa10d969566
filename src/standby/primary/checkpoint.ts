import type { StandbySettings } from '../../config/options-standby.ts';
import { checkpointSql, isTrue, mayCheckpointSql } from '../../postgres/backup-sql.ts';
import type { Primary } from './primary.ts';

type Asked = Pick<Primary, 'facts' | 'query'>;

/** A fast checkpoint writes all dirty buffers at once: on a busy primary that takes time. */
const fastMs = 30 * 60_000;

/**
 * The longest time for the checkpoint at the start of a backup: a spread one takes as long as the primary's
 * checkpoint_timeout allows.
 */
export function checkpointLimitMs(
  settings: Pick<StandbySettings, 'basebackup_checkpoint' | 'base_backup_timeout'>,
): number {
  return settings.basebackup_checkpoint === 'fast' ? fastMs : settings.base_backup_timeout * 1000;
}

/** Whether our role may ask the server for a checkpoint. */
export async function mayCheckpoint({ facts, query }: Asked): Promise<boolean> {
  return isTrue(await query(mayCheckpointSql(facts.capabilities)));
}

/** Makes the server write a fast checkpoint; on a standby, a restartpoint. */
export async function checkpoint({ query }: Asked): Promise<void> {
  await query(checkpointSql, fastMs);
}
