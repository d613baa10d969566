import type { ShipperLane } from './lane-record.ts';
import type { Work } from './work.ts';

const fastBytesPerMs = 16_000;

/** Whether the network is faster than the processors, as far as it is known. A limit of the bandwidth makes a link slow. */
export function isFast({ deps }: Work, { standby, bytesPerMs }: ShipperLane): boolean {
  if ((deps.settings.ship_bwlimit ?? 0) > 0) return false;
  if (standby.rsync_flags.some((flag) => flag.startsWith('--bwl'))) return false;
  return bytesPerMs === 0 || bytesPerMs >= fastBytesPerMs;
}
