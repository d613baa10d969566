/** Compares the deliveries that a ledger records with what the standby says it has. Pure. */
import { leftMarkOf, type LeftTimeline } from '../../postgres/left-timeline.ts';
import { nameOf, segmentContaining, segmentNumber, type WalLayout } from '../../postgres/lsn.ts';
import type { SegmentName } from '../../postgres/wal-name.ts';
import { countOf, type Range } from './ranges.ts';

/** A segment of the standby's archivedir. */
export interface HeldFile {
  readonly size: number;
  readonly sha256: string | undefined;
}

export interface Inventory {
  /** Its recovery needs nothing from before this location: it may have been removed. */
  readonly restartpoint: bigint;
  readonly files: ReadonlyMap<string, HeldFile>;
  /** Segments that it has moved aside. */
  readonly aside: ReadonlySet<string>;
  /** The timelines of which it accepts no WAL from behind a location. */
  readonly left: readonly LeftTimeline[];
}

export interface Finding {
  /** The first segment that was looked for; undefined if there was none. */
  readonly from: string | undefined;
  /** How many segments had to be there. */
  readonly expected: number;
  /** How many of them the standby has moved aside, as a mark or a base backup demands. */
  readonly aside: number;
  /** Ranges of segments that are not there. */
  readonly missing: readonly { readonly first: string; readonly last: string; readonly segments: number }[];
  readonly wrongSize: readonly { readonly name: string; readonly size: number }[];
  /** The segments that are there in the right size. */
  readonly whole: readonly SegmentName[];
}

/** The part of a range from this number on. */
function fromNumber(range: Range, first: number): Range | undefined {
  return range.last < first ? undefined : { ...range, first: Math.max(range.first, first) };
}

type Found = 'whole' | 'aside' | 'missing' | { readonly size: number };

function lookUp(name: SegmentName, { files, aside, left }: Inventory, layout: WalLayout): Found {
  const file = files.get(name.text);
  if (file !== undefined) return file.size === layout.segmentSize ? 'whole' : { size: file.size };
  return aside.has(name.text) || leftMarkOf(name, left, layout) !== undefined ? 'aside' : 'missing';
}

/** @param ranges the delivered segments, sorted and without overlaps */
export function compareLedger(ranges: readonly Range[], inventory: Inventory, layout: WalLayout): Finding {
  const needed = segmentNumber(segmentContaining(1, inventory.restartpoint, layout), layout);
  const wanted = ranges.flatMap((range) => fromNumber(range, needed) ?? []);
  const missing: { first: string; last: string; segments: number }[] = [];
  const wrongSize: { name: string; size: number }[] = [];
  const whole: SegmentName[] = [];
  let aside = 0;
  for (const { timeline, first, last } of wanted) {
    let isOpen = false;
    for (let number = first; number <= last; number++) {
      const name = nameOf(timeline, number, layout);
      const found = lookUp(name, inventory, layout);
      const range = missing.at(-1);
      if (found === 'missing' && isOpen && range !== undefined) {
        range.last = name.text;
        range.segments += 1;
      } else if (found === 'missing') missing.push({ first: name.text, last: name.text, segments: 1 });
      else if (found === 'whole') whole.push(name);
      else if (found === 'aside') aside += 1;
      else wrongSize.push({ name: name.text, size: found.size });
      isOpen = found === 'missing';
    }
  }
  const [lowest] = [...wanted].sort((a, b) => a.first - b.first || a.timeline - b.timeline);
  return {
    from: lowest && nameOf(lowest.timeline, lowest.first, layout).text,
    expected: wanted.reduce((sum, range) => sum + countOf(range), 0),
    aside,
    missing,
    wrongSize,
    whole,
  };
}
