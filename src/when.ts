/** Moments for people. */
import { formatInZone } from './postgres/timestamp.ts';

/** The zone of this host. */
function ownZone(): string {
  return new Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/** `2026-11-28 10:20:01 UTC (11:20:01+01)`; the local time is left out where it is the same. */
export function whenText(iso: string, zone = ownZone()): string {
  const ms = Date.parse(iso);
  if (Number.isNaN(ms)) return iso;
  const micros = BigInt(Math.floor(ms / 1000)) * 1_000_000n;
  const [utcDay = '', utcTime = ''] = formatInZone(micros, 'UTC').split(/[ +]/);
  const [day = '', time = ''] = formatInZone(micros, zone).split(' ');
  const utc = `${utcDay} ${utcTime} UTC`;
  if (`${utcTime}+00` === time) return utc;
  return `${utc} (${day === utcDay ? time : `${day} ${time}`})`;
}
