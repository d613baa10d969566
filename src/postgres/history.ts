/** Timeline history files, which say where each timeline branched off (manual, section "Timelines"). */
import { PitrError } from '../errors.ts';
import { firstLsnOf, parseLsn, segmentContaining, segmentNumber, type WalLayout } from './lsn.ts';
import { parseWalName, type SegmentName } from './wal-name.ts';

/** One ancestor of the timeline that the file is named after, oldest first. */
export interface TimelineEntry {
  readonly timeline: number;
  /** Where the next timeline branched off. Up to 9.2 only the segment is recorded. */
  readonly end:
    | { readonly kind: 'lsn'; readonly lsn: bigint }
    | { readonly kind: 'segment'; readonly segment: SegmentName };
}

/** @param name the history file's name, for messages */
export function parseHistory(text: string, name: string): TimelineEntry[] {
  const lines = text.split('\n').map((line) => line.trim());
  const entries = lines
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => entryOf(line, name));
  for (const [index, entry] of entries.entries()) {
    const before = entries[index - 1];
    if (before !== undefined && before.timeline >= entry.timeline) {
      throw damaged(name, `timeline ${entry.timeline} follows timeline ${before.timeline}`);
    }
  }
  return entries;
}

function entryOf(line: string, name: string): TimelineEntry {
  const match = /^([0-9]{1,10})\s+(\S+)/.exec(line);
  if (match?.[1] === undefined || match[2] === undefined) throw damaged(name, line);
  return { timeline: Number(match[1]), end: endOf(match[2], name) };
}

function endOf(text: string, name: string): TimelineEntry['end'] {
  if (/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/i.test(text)) return { kind: 'lsn', lsn: parseLsn(text) };
  const segment = parseWalName(text);
  if (segment.kind === 'segment') return { kind: 'segment', segment };
  throw damaged(name, text);
}

function damaged(name: string, detail: string): PitrError {
  return new PitrError(`timeline history file ${name} cannot be read`, { detail });
}

/** The timelines that a history file names. */
export function ancestorsIn(entries: readonly TimelineEntry[]): ReadonlySet<number> {
  return new Set(entries.map((entry) => entry.timeline));
}

/** The number of the first segment of an ancestor that contains nothing of its descendants' history. */
export function firstUntouched({ timeline, end }: TimelineEntry, layout: WalLayout): number {
  // Up to 9.2 the file names the last segment of which something was replayed.
  if (end.kind === 'segment') return segmentNumber(end.segment, layout) + 1;
  const segment = segmentContaining(timeline, end.lsn, layout);
  const number = segmentNumber(segment, layout);
  return end.lsn > firstLsnOf(segment, layout.segmentSize) ? number + 1 : number;
}
