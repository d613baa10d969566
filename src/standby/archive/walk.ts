/** Determines how far a recovery can come with the available WAL. Pure. */
import { firstLsnOf, nameOf, type WalLayout } from '../../postgres/lsn.ts';
import { nameOnPath, placesOn, type TimelinePath } from '../../postgres/timelines.ts';
import type { SegmentName } from '../../postgres/wal-name.ts';
import type { ArchiveContents, FoundSegment } from './contents.ts';

export interface Walk {
  /** The number of the last segment that can be replayed; `from - 1` if there is none. */
  readonly lastNumber: number;
  readonly last: SegmentName | undefined;
  /** The first byte that is not available. */
  readonly endLsn: bigint;
  /** Names the WAL beyond, and why it is out of reach; undefined where the WAL simply ends. */
  readonly obstacle: string | undefined;
}

type Places = ReadonlyMap<number, Pick<FoundSegment, 'name' | 'fault'>>;

function obstacleAt(
  number: number,
  places: Places,
  path: TimelinePath,
  layout: WalLayout,
): string | undefined {
  const found = places.get(number);
  if (found !== undefined) return `segment ${found.name.text} cannot be replayed: ${found.fault ?? ''}`;
  if (![...places.keys()].some((other) => other > number)) return undefined;
  return `segment ${nameOnPath(path, number, layout)} is missing`;
}

export function walk(contents: ArchiveContents, path: TimelinePath, from: number): Walk {
  const { layout, inPgWal, segments } = contents;
  const local = inPgWal.map((name) => ({ name, fault: undefined }));
  const places: Places = placesOn(path, [...local, ...segments], layout);
  let number = from;
  while (places.has(number) && places.get(number)?.fault === undefined) number++;
  return {
    lastNumber: number - 1,
    last: number === from ? undefined : places.get(number - 1)?.name,
    endLsn: firstLsnOf(nameOf(1, number, layout), layout.segmentSize),
    obstacle: obstacleAt(number, places, path, layout),
  };
}
