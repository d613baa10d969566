/** The lines of a ledger, beside the ranges that are still open. */
import type { Caller } from '../../system/caller.ts';
import { callerFields } from '../../system/caller.ts';
import { entryOf, isTime } from '../../system/journal.ts';
import { type Checked, type Fields, is } from '../../system/json.ts';
import { rangeFields } from './ranges.ts';

const noted = { at: isTime, ...callerFields };

const isStretch = is.object({ first: is.text, last: is.text });

/** The layout by which the names of a range are counted. */
export const layoutFields = { segmentSize: is.number, walSegmentSkipsFF: is.optional(is.boolean) };

const lost = { first: is.optional(is.text), last: is.optional(is.text) };

const eventFields = {
  /** The standby is abandoned; with the WAL that it has lost so far. */
  abandoned: { ...noted, by: is.oneOf('operator', 'policy'), ...lost, why: is.optional(is.text) },
  /** The abandonment ended; with all WAL that the standby lost by it. */
  resumed: { ...noted, by: is.oneOf('operator', 'standby'), since: is.text, ...lost },
  /** WAL that the standby lacks, and that is nowhere here or cannot be sent. */
  gap: { ...noted, missing: is.listOf(isStretch), conflicts: is.listOf(is.text) },
  'gap-closed': noted,
  /** The standby was asked, and has all WAL from its restartpoint on, or no data yet. */
  'caught-up': { ...noted, timeline: is.number, hasNoData: is.optional(is.boolean) },
  /** -B of the standby asks for WAL. */
  'backup-begun': noted,
  /** The file that a base backup leaves in the archive when it ends was delivered. */
  'backup-ended': { ...noted, name: is.text },
  /** The history file of a timeline was delivered. */
  timeline: { ...noted, name: is.text },
  /** The unfinished end of a timeline was delivered. */
  partial: { ...noted, name: is.text },
  /** The standby was informed that a timeline was left; the mark is as in the sentinel. */
  'left-marked': { ...noted, mark: is.text, moved: is.number },
  'left-taken-back': { ...noted, mark: is.text },
  /** The ranges that were open could not be read. */
  damaged: { ...noted, reason: is.text },
} as const satisfies Readonly<Record<string, Fields>>;

type Kinds = typeof eventFields;

/** An event, as it is written and read. */
export type LedgerEvent = {
  [Kind in keyof Kinds]: { readonly kind: Kind } & Checked<Kinds[Kind]>;
}[keyof Kinds];

/** An event before it is noted when, and by whom. */
export type NewEvent = {
  [Kind in keyof Kinds]: { readonly kind: Kind } & Omit<Checked<Kinds[Kind]>, 'at' | keyof Caller>;
}[keyof Kinds];

/** A line: an event, or a range that nothing is added to any more. */
const lineFields = { range: { at: isTime, ...layoutFields, ...rangeFields }, ...eventFields } as const;

export function readLine(value: unknown) {
  return entryOf(lineFields, value);
}

export type LedgerLine = ReturnType<typeof readLine>;
