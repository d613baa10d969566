import type { StandbySettings } from '../../config/options-standby.ts';

/** One at once writes all that is dirty: on a busy primary that takes its time. */
const fastMs = 30 * 60_000;

/** How long the checkpoint may take that a backup begins with: a spread one keeps to the primary's checkpoint_timeout. */
export function checkpointLimitMs(
  settings: Pick<StandbySettings, 'basebackup_checkpoint' | 'base_backup_timeout'>,
): number {
  return settings.basebackup_checkpoint === 'fast' ? fastMs : settings.base_backup_timeout * 1000;
}
