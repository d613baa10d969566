import { settingsIn } from '../../postgres/settings-file.ts';
import type { StandbyRecord } from '../host/backup-record/record.ts';
import { delayParameter } from './settings.ts';

/**
 * The delay that the user has set by ALTER SYSTEM. In any mode but `standby`, the file has the value of a recovery, and
 * the record keeps the user's.
 *
 * @param text `postgresql.auto.conf`
 */
export function ownDelayOf(
  { settings, ownDelay }: Pick<StandbyRecord, 'settings' | 'ownDelay'>,
  text: string,
): string | undefined {
  if (settings?.mode !== 'standby' && ownDelay !== undefined) return ownDelay;
  const isIniFiles = settings?.names.includes(delayParameter) === true && ownDelay === undefined;
  return isIniFiles ? undefined : settingsIn(text).get(delayParameter);
}
