/**
 * The ledger of one lane: the WAL that was delivered to its standby, and when; and the events that matter beside it. It is
 * a record for people: nothing decides by it. While WAL is delivered it is kept in memory, and written without a flush,
 * so that a delivery costs what it would cost without it; what a killed process did not write is learned again from the
 * standby, or stays a hole. Only the holder of the lane's lock writes.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../errors.ts';
import { capabilitiesOf } from '../../postgres/capabilities.ts';
import {
  isPossibleSegment,
  isSegmentSize,
  nameOf,
  segmentNumber,
  type WalLayout,
} from '../../postgres/lsn.ts';
import { parseVersion } from '../../postgres/version.ts';
import type { SegmentName, WalName } from '../../postgres/wal-name.ts';
import { callerOf } from '../../system/caller.ts';
import { readIfExists } from '../../system/durable.ts';
import { mkdir, replacePrivately } from '../../system/files.ts';
import { appendToJournal, isTime } from '../../system/journal.ts';
import { type Checked, is, parseJson } from '../../system/json.ts';
import type { ArchiverDeps } from '../deps.ts';
import { contentBytes, type Outgoing } from '../frames/frame.ts';
import { layoutFields, type NewEvent } from './events.ts';
import { type Range, rangeFields, readRange, withRange, type WrittenRange, writtenRange } from './ranges.ts';

/** How often the ledger of a lane that delivers is written. */
const writeMs = 10_000;
/** Normal delivery, a catch-up and a queue can take turns. The one that rested longest is closed then. */
const mostOpen = 4;
/** Files with a name of their own that were delivered last: a catch-up delivers them again. */
const mostNamed = 20;
/** If nothing can be written, memory must not fill up with it. */
const mostPending = 50_000;
const longestText = 500;

interface Delivered {
  readonly name: WalName;
  readonly bytes: number;
  readonly atMs: number;
}

/** The deliveries of this process that are not written yet. */
export type LedgerMemory = ReturnType<typeof createLedgerMemory>;

export function createLedgerMemory() {
  return {
    pending: [] as Delivered[],
    /** A file with a name of its own is among them: there are few, and each is an event. */
    hasNamed: false,
    /** By `monotonicMs`. */
    writtenMs: -Infinity,
    /** The standby was asked what an earlier process delivered last. */
    isTailKnown: false,
    /** The last write: one at a time. */
    writing: Promise.resolve() as Promise<unknown>,
  };
}

/** The files of one lane's ledger. */
export interface LedgerPlace {
  readonly ledgerDirectory: string;
  /** The ranges that are open. */
  readonly ledgerFile: string;
  /** The closed ranges, and the events. */
  readonly ledgerEvents: string;
}

/** No standby's name contains "@". */
const eventsSuffix = '@events';

export function ledgerPlace(privateDirectory: string, standby: string): LedgerPlace {
  const ledgerDirectory = join(privateDirectory, 'ledger');
  const ledgerFile = join(ledgerDirectory, standby);
  return { ledgerDirectory, ledgerFile, ledgerEvents: `${ledgerFile}${eventsSuffix}` };
}

/** The standby to whose ledger a file of that directory belongs. */
export function standbyOfLedger(fileName: string): string | undefined {
  return fileName.startsWith('.') ? undefined : fileName.replace(/@.*$/, '');
}

type LedgerLane = LedgerPlace & { readonly ledger: LedgerMemory };

const stateFields = {
  ...layoutFields,
  /** Absent as long as no segment was delivered. */
  segmentSize: is.optional(is.number),
  open: is.listOf(is.object(rangeFields)),
  named: is.listOf(is.text),
  writtenAt: isTime,
};

export type LedgerState = Checked<typeof stateFields>;

/** Throws if the file is there and not in our form; undefined if it is not there. */
export async function readLedgerState({ ledgerFile }: LedgerPlace): Promise<LedgerState | undefined> {
  const content = await readIfExists(ledgerFile);
  if (content === undefined) return undefined;
  const state = parseJson(content.toString('utf8'), stateFields);
  openRanges(state);
  return state;
}

/** Throws for a size that there cannot be. */
export function readLayout({
  segmentSize,
  walSegmentSkipsFF = false,
}: Checked<typeof layoutFields>): WalLayout {
  if (!isSegmentSize(segmentSize)) throw new Error('its "segmentSize" is not what we write there');
  return { segmentSize, walSegmentSkipsFF };
}

export function layoutOfState({ segmentSize, walSegmentSkipsFF }: LedgerState): WalLayout | undefined {
  return segmentSize === undefined ? undefined : readLayout({ segmentSize, walSegmentSkipsFF });
}

export function openRanges(state: LedgerState): readonly Range[] {
  const layout = layoutOfState(state);
  return layout === undefined ? [] : state.open.map((range) => readRange(range, layout));
}

/** Call this for files that the standby has confirmed. */
export function noteStored(ledger: LedgerMemory, files: readonly Outgoing[], atMs: number): void {
  if (ledger.pending.length >= mostPending) return;
  for (const file of files) {
    const { name } = file;
    ledger.pending.push({ name, bytes: contentBytes(file), atMs });
    if (name.kind !== 'segment') ledger.hasNamed = true;
  }
}

const isoOf = (ms: number): string => new Date(ms).toISOString();

/** Without a version that can be read, as every release from 9.3 on. */
async function skipsFF({ settings }: ArchiverDeps): Promise<boolean> {
  try {
    const version = parseVersion(await readFile(join(settings.pgdata, 'PG_VERSION'), 'utf8'));
    return capabilitiesOf(version).walSegmentSkipsFF;
  } catch {
    return false;
  }
}

function eventOfFile(name: WalName): NewEvent | undefined {
  switch (name.kind) {
    case 'history':
      return { kind: 'timeline', name: name.text };
    case 'backup':
      return { kind: 'backup-ended', name: name.text };
    case 'partial':
      return { kind: 'partial', name: name.text };
    case 'segment':
      return undefined;
  }
}

/** A ledger while something is added to it. */
interface Draft {
  layout: WalLayout | undefined;
  open: readonly Range[];
  named: readonly string[];
  /** The lines that follow. */
  readonly lines: object[];
}

function close(draft: Draft, ranges: readonly Range[], at: string): void {
  const { layout } = draft;
  if (layout === undefined) return;
  for (const range of ranges) draft.lines.push({ at, kind: 'range', ...written(range, layout) });
}

function written(range: Range, layout: WalLayout): Checked<typeof layoutFields> & WrittenRange {
  return { ...writtenLayout(layout), ...writtenRange(range, layout) };
}

function writtenLayout({ segmentSize, walSegmentSkipsFF }: WalLayout): Checked<typeof layoutFields> {
  return { segmentSize, ...(walSegmentSkipsFF ? { walSegmentSkipsFF } : {}) };
}

function addRange(draft: Draft, range: Range, at: string): void {
  const open = withRange(draft.open, range);
  close(draft, open.slice(0, -mostOpen), at);
  draft.open = open.slice(-mostOpen);
}

function addSegment(draft: Draft, layout: WalLayout, { name, atMs }: Delivered): void {
  if (name.kind !== 'segment' || !isPossibleSegment(name, layout)) return;
  const at = isoOf(atMs);
  const number = segmentNumber(name, layout);
  const one = { timeline: name.timeline, first: number, last: number, firstAt: at, lastAt: at, learned: 0 };
  addRange(draft, one, at);
}

function eventLine(deps: ArchiverDeps, event: NewEvent, atMs: number): object {
  return { at: isoOf(atMs), ...event, ...callerOf(deps) };
}

function addFile(deps: ArchiverDeps, draft: Draft, { name, atMs }: Delivered): void {
  const event = eventOfFile(name);
  if (event === undefined || draft.named.includes(name.text)) return;
  draft.named = [...draft.named, name.text].slice(-mostNamed);
  draft.lines.push(eventLine(deps, event, atMs));
}

/** A ledger that cannot be read is begun anew: its closed ranges are still there. */
async function draftOf(deps: ArchiverDeps, lane: LedgerPlace): Promise<Draft> {
  const empty: Draft = { layout: undefined, open: [], named: [], lines: [] };
  try {
    const state = await readLedgerState(lane);
    if (state === undefined) return empty;
    return { layout: layoutOfState(state), open: openRanges(state), named: state.named, lines: [] };
  } catch (error) {
    const reason = messageOf(error).slice(0, longestText);
    empty.lines.push(eventLine(deps, { kind: 'damaged', reason }, deps.now()));
    return empty;
  }
}

/** A cluster keeps the size of its segments, unless pg_resetwal changes it. */
function adoptLayout(draft: Draft, layout: WalLayout, at: string): void {
  const { layout: before } = draft;
  const isSame =
    before?.segmentSize === layout.segmentSize && before.walSegmentSkipsFF === layout.walSegmentSkipsFF;
  if (isSame) return;
  close(draft, draft.open, at);
  draft.open = [];
  draft.layout = layout;
}

async function addDelivered(
  deps: ArchiverDeps,
  draft: Draft,
  delivered: readonly Delivered[],
): Promise<void> {
  const walSegmentSkipsFF = await skipsFF(deps);
  for (const one of delivered) {
    if (one.name.kind !== 'segment') addFile(deps, draft, one);
    else if (isSegmentSize(one.bytes)) {
      const layout = { segmentSize: one.bytes, walSegmentSkipsFF };
      adoptLayout(draft, layout, isoOf(one.atMs));
      addSegment(draft, layout, one);
    }
  }
}

/** The closed ranges are written first: after a crash one of them may be open as well, which readers bear. */
async function write(
  deps: ArchiverDeps,
  lane: LedgerPlace,
  { layout, open, named, lines }: Draft,
): Promise<void> {
  await mkdir(lane.ledgerDirectory, { recursive: true, mode: 0o700 });
  const at = isoOf(deps.now());
  await appendToJournal(lane.ledgerEvents, lines, at);
  const state: LedgerState = {
    ...(layout === undefined ? {} : writtenLayout(layout)),
    open: layout === undefined ? [] : open.map((range) => writtenRange(range, layout)),
    named,
    writtenAt: at,
  };
  await replacePrivately(lane.ledgerFile, `${JSON.stringify(state, undefined, 2)}\n`);
}

/** A ledger that cannot be written is no reason to stop anything. */
async function attempt({ log }: ArchiverDeps, { ledger, ledgerFile }: LedgerLane, use: () => Promise<void>) {
  const written = ledger.writing.then(use).catch((error: unknown) => {
    log.debug(`cannot write the ledger "${ledgerFile}": ${messageOf(error)}`);
  });
  ledger.writing = written;
  await written;
}

/** Whether there is something to write that has waited long enough. */
export function isLedgerDue(
  { monotonicMs }: Pick<ArchiverDeps, 'monotonicMs'>,
  { ledger }: LedgerLane,
): boolean {
  if (ledger.pending.length === 0) return false;
  return ledger.hasNamed || monotonicMs() - ledger.writtenMs >= writeMs;
}

/** Writes what was delivered. Never fails. The caller holds the lane's lock. */
export async function writeLedger(deps: ArchiverDeps, lane: LedgerLane): Promise<void> {
  const { ledger } = lane;
  if (ledger.pending.length === 0) return;
  ledger.writtenMs = deps.monotonicMs();
  ledger.hasNamed = false;
  await attempt(deps, lane, async () => {
    const delivered = ledger.pending.splice(0);
    try {
      const draft = await draftOf(deps, lane);
      await addDelivered(deps, draft, delivered);
      await write(deps, lane, draft);
    } catch (error) {
      ledger.pending.unshift(...delivered);
      throw error;
    }
  });
}

/** Notes an event at once. Never fails. The caller holds the lane's lock. */
export async function noteEvent(deps: ArchiverDeps, lane: LedgerLane, event: NewEvent): Promise<void> {
  await attempt(deps, lane, async () => {
    await mkdir(lane.ledgerDirectory, { recursive: true, mode: 0o700 });
    const now = deps.now();
    await appendToJournal(lane.ledgerEvents, [eventLine(deps, event, now)], isoOf(now));
  });
}

/** The range that reaches furthest. */
function newestOf(ranges: readonly Range[]): Range | undefined {
  return [...ranges].sort((a, b) => a.timeline - b.timeline || a.last - b.last).at(-1);
}

/** The last segment that is known to be delivered; undefined if there is none, or it cannot be read. */
export async function lastNoted(lane: LedgerPlace): Promise<SegmentName | undefined> {
  const state = await readLedgerState(lane).catch(() => undefined);
  const layout = state && layoutOfState(state);
  const newest = state && newestOf(openRanges(state));
  return layout && newest && nameOf(newest.timeline, newest.last, layout);
}

/** Adds the segments that follow the last one without a gap, as the standby has them. The caller holds the lane's lock. */
export async function addLearned(
  deps: ArchiverDeps,
  lane: LedgerLane,
  there: ReadonlySet<string>,
): Promise<void> {
  await attempt(deps, lane, async () => {
    const draft = await draftOf(deps, lane);
    const { layout } = draft;
    const newest = newestOf(draft.open);
    if (layout === undefined || newest === undefined) return;
    const { timeline } = newest;
    let { last } = newest;
    while (there.has(nameOf(timeline, last + 1, layout).text)) last += 1;
    if (last === newest.last) return;
    const at = isoOf(deps.now());
    const first = newest.last + 1;
    addRange(draft, { timeline, first, last, firstAt: at, lastAt: at, learned: last - newest.last }, at);
    await write(deps, lane, draft);
  });
}
