import { settingsIn } from '../../postgres/settings-file.ts';
import type { StandbyDeps } from '../deps.ts';
import type { StandbyRecord } from '../host/backup-record/record.ts';
import { delayParameter } from './settings.ts';

type DelayRecord = Pick<StandbyRecord, 'settings' | 'ownDelay' | 'droppedDelay'>;

/** With this value a failover replays without the user's own delay. */
export const noDelay = '0';

/** The parameters in `postgresql.auto.conf` whose values are ours. */
export function writtenNames({
  settings,
  droppedDelay,
}: Pick<DelayRecord, 'settings' | 'droppedDelay'>): readonly string[] {
  return [...(settings?.names ?? []), ...(droppedDelay === undefined ? [] : [delayParameter])];
}

/**
 * The delay that the user has set by ALTER SYSTEM. In any mode but `standby`, the file has the value of a recovery, and
 * the record keeps the user's. The same is true if a failover has dropped it; another value is a newer one of the user.
 *
 * @param text `postgresql.auto.conf`
 */
export function ownDelayOf(
  { settings, ownDelay, droppedDelay }: DelayRecord,
  text: string,
): string | undefined {
  if (settings?.mode !== 'standby' && ownDelay !== undefined) return ownDelay;
  const there = settingsIn(text).get(delayParameter);
  if (droppedDelay !== undefined && there === noDelay) return droppedDelay.own;
  const isIniFiles = settings?.names.includes(delayParameter) === true && ownDelay === undefined;
  return isIniFiles ? undefined : there;
}

/** A standby without its delay replays a mistake at once, and nothing else shows that. */
export function warnOfDroppedDelay(
  { log }: Pick<StandbyDeps, 'log'>,
  { droppedDelay }: Pick<StandbyRecord, 'droppedDelay'>,
): void {
  if (droppedDelay === undefined) return;
  log.warning(`a failover has set ${delayParameter} of the standby here to 0, and has not brought it back`, {
    hint: 'If none is running any more: -A stop, then -S brings it back; -F999 finishes the failover.',
  });
}

/** Whether a value of the parameter delays the replay. */
export function isDelay(value: string | undefined): value is string {
  return value !== undefined && !/^0+\s*[a-z]*$/.test(value.trim());
}
