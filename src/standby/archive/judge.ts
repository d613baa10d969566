/** The one judge of a file under a segment's name, wherever it is: it decides by the first page. Pure. */
import { ancestorsIn } from '../../postgres/history.ts';
import { isSegmentSize } from '../../postgres/lsn.ts';
import type { Histories } from '../../postgres/timelines.ts';
import { checkSegmentHeader } from '../../postgres/wal-header.ts';
import type { SegmentName } from '../../postgres/wal-name.ts';
import type { SegmentStart } from './arrival.ts';

export interface FoundStart {
  readonly name: SegmentName;
  /** The first page, or the reason why the file cannot be read. */
  readonly start: SegmentStart | string;
}

export interface Cluster {
  readonly systemIdentifier: string;
  readonly segmentSize: number;
  readonly histories: Histories;
}

/**
 * The first segment of a branch begins with the previous timeline; without a history file any earlier timeline is
 * accepted.
 */
function isAncestorOf(histories: Histories, timeline: number): (older: number) => boolean {
  const history = histories.get(timeline);
  if (history === undefined) return (older) => older < timeline;
  const ancestors = ancestorsIn(history);
  return (older) => ancestors.has(older);
}

/** The reason why it cannot be replayed; undefined for a good one. */
export function faultOf({ name, start }: FoundStart, cluster: Cluster): string | undefined {
  if (typeof start === 'string') return start;
  const { systemIdentifier, segmentSize, histories } = cluster;
  if (start.size !== segmentSize) return `it has ${start.size} bytes instead of ${segmentSize}`;
  const isAncestor = isAncestorOf(histories, name.timeline);
  const check = checkSegmentHeader(start.bytes, { name, systemIdentifier, fileSize: start.size, isAncestor });
  return check.kind === 'good' ? undefined : check.reason;
}

export interface SegmentSize {
  /** In bytes. */
  readonly size: number;
  /** True if nothing that was examined contradicts the size. */
  readonly isSure: boolean;
}

/**
 * As the base backup recorded it, or as most of the segments say themselves; where no header can be read, as most of the files
 * have it. Undefined where nothing shows it.
 */
export function segmentSizeOf(
  recorded: number | undefined,
  starts: readonly FoundStart[],
): SegmentSize | undefined {
  if (recorded !== undefined && isSegmentSize(recorded)) return { size: recorded, isSure: true };
  const read = starts.flatMap(({ start }) => (typeof start === 'string' ? [] : [start]));
  const said = read.flatMap(({ header }) => (header.kind === 'header' ? [header.segmentSize] : []));
  const sizes = said.length > 0 ? said : read.map(({ size }) => size).filter(isSegmentSize);
  const counts = new Map<number, number>();
  for (const size of sizes) counts.set(size, (counts.get(size) ?? 0) + 1);
  const [most] = [...counts].sort(([, a], [, b]) => b - a);
  if (most === undefined) return undefined;
  return { size: most[0], isSure: counts.size === 1 && read.every(({ size }) => size === most[0]) };
}
