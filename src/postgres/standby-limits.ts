/**
 * The settings that must not be lower on a hot standby than they were on its primary (manual, section "Hot Standby").
 * Replay copies the primary's values into the standby's pg_control, where its server compares them.
 */
import { findFloatFormat, openControlFile, type Opened } from './control-file.ts';

export const limitNames = [
  'max_connections',
  'max_worker_processes',
  'max_wal_senders',
  'max_prepared_transactions',
  'max_locks_per_transaction',
] as const;

export type LimitName = (typeof limitNames)[number];

export type Limits = ReadonlyMap<LimitName, number>;

/** The order of the settings in pg_control of each format; an unknown format has no order. */
function namesIn(format: number): readonly LimitName[] {
  if (format < 903 || format >= 2000) return [];
  return limitNames.filter(
    (name) =>
      (name !== 'max_worker_processes' || format >= 942) && (name !== 'max_wal_senders' || format >= 1201),
  );
}

const firstCatalogVersionOf95 = 201510051;

/** A flag, track_commit_timestamp, follows them from 9.5 on, which shares its format with 9.4. */
function flagBytes(format: number, catalogVersion: number): number {
  return format > 942 || (format === 942 && catalogVersion >= firstCatalogVersionOf95) ? 4 : 0;
}

/** The offset with the largest alignment, 4 or 8: before a constant that itself may have to be aligned. */
function alignmentOffset(opened: Opened): number | undefined {
  const offset = findFloatFormat(opened);
  if (offset === undefined) return undefined;
  const { view, littleEndian } = opened;
  return [offset - 4, offset - 8].find((at) => [4, 8].includes(view.getUint32(at, littleEndian)));
}

/** More than any of them can be. */
const mostOfAny = 2 ** 23;

/** The values that pg_control demands of a hot standby; undefined if they cannot be determined. */
export function demandedLimits(bytes: Uint8Array): Limits | undefined {
  const opened = openControlFile(bytes);
  if (opened === undefined) return undefined;
  const { view, littleEndian, controlVersion: format } = opened;
  const names = namesIn(format);
  const end = alignmentOffset(opened);
  if (names.length === 0 || end === undefined) return undefined;
  const begin = end - flagBytes(format, view.getUint32(12, littleEndian)) - 4 * names.length;
  const limits = new Map(
    names.map((name, index) => [name, view.getUint32(begin + 4 * index, littleEndian)] as const),
  );
  return [...limits.values()].some((value) => value > mostOfAny) ? undefined : limits;
}

export interface LowLimit {
  readonly name: LimitName;
  readonly here: number;
  readonly demanded: number;
}

/** The settings that are lower here than demanded. A setting whose value here is unknown is not judged. */
export function findLowLimits(demanded: Limits, here: Limits): readonly LowLimit[] {
  return [...demanded].flatMap(([name, value]) => {
    const own = here.get(name);
    return own === undefined || own >= value ? [] : [{ name, here: own, demanded: value }];
  });
}
