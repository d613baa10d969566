/** How long this host's standby waits before it replays a commit. */
import { join } from 'node:path';
import type { Capabilities } from '../../postgres/capabilities.ts';
import { settingsIn } from '../../postgres/settings-file.ts';
import { readIfExists } from '../../system/durable.ts';
import { delayParameter } from '../recovery/settings.ts';

const inSeconds = { ms: 0.001, s: 1, min: 60, h: 3600, d: 86_400 } as const;

/** A time as a setting has it: a number, perhaps with a unit; milliseconds without one. */
export function secondsOf(text: string): number | undefined {
  const [, digits, unit = 'ms'] = /^(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)?$/.exec(text.trim()) ?? [];
  return digits === undefined ? undefined : Number(digits) * inSeconds[unit as keyof typeof inSeconds];
}

/** Whether the server shows its delay; up to 11 that is in recovery.conf. */
function isShown({ hasRecoveryMinApplyDelay, recoveryConf }: Capabilities): boolean {
  return hasRecoveryMinApplyDelay && recoveryConf === 'signal-files';
}

/** In seconds, for a column of a query; NULL where the server does not show it. */
export function delaySql(capabilities: Capabilities): string {
  return isShown(capabilities)
    ? `(SELECT setting::float8 / 1000 FROM pg_settings WHERE name = '${delayParameter}')`
    : 'NULL::float8';
}

/**
 * In seconds; 0 for none, undefined if it is not known.
 *
 * @param shown the answer to `delaySql`
 */
export async function replayDelayOf(
  { pgdata, capabilities }: { readonly pgdata: string; readonly capabilities: Capabilities },
  shown: number | undefined,
): Promise<number | undefined> {
  if (!capabilities.hasRecoveryMinApplyDelay) return 0;
  if (isShown(capabilities)) return shown;
  const text = (await readIfExists(join(pgdata, 'recovery.conf')))?.toString('utf8') ?? '';
  const value = settingsIn(text).get(delayParameter);
  return value === undefined ? 0 : secondsOf(value);
}
