/** A ledger as it is shown: what was delivered, and what is known of the rest. */
import { readdir } from 'node:fs/promises';
import { messageOf, PitrError } from '../../errors.ts';
import { nameOf, segmentNumber, type WalLayout } from '../../postgres/lsn.ts';
import { type Histories, pathTo } from '../../postgres/timelines.ts';
import { parseWalName, walNamesAmong } from '../../postgres/wal-name.ts';
import { readJournal, type RefusedLine } from '../../system/journal.ts';
import type { ArchiverDeps } from '../deps.ts';
import { type Lane, laneOf, lanesOf } from '../lane/lane.ts';
import { fresh, type LaneState, readLaneState } from '../lane/state.ts';
import { readHistoriesOf } from '../wal/own-wal.ts';
import { walDirectory } from '../wal/ready-files.ts';
import { type LedgerEvent, type LedgerLine, readLine } from './events.ts';
import {
  layoutOfState,
  type LedgerPlace,
  ledgerPlace,
  openRanges,
  readLayout,
  readLedgerState,
  standbyOfLedger,
} from './ledger.ts';
import { countOf, holesAcross, holesIn, type Range, readRange, segmentOf, sortedRanges } from './ranges.ts';

/** Why the ledger has no delivery of a stretch of WAL between others. */
type Why = 'abandoned' | 'gap' | 'not recorded';

interface Stretch {
  readonly timeline: number;
  readonly first: string;
  readonly last: string;
  readonly segments: number;
}

interface DeliveredRange extends Stretch {
  readonly firstAt: string;
  readonly lastAt: string;
  /** How many of them the standby said it has, which were not seen to be delivered. */
  readonly learned: number;
}

interface MissingRange extends Stretch {
  readonly why: Why;
}

export interface Ledger {
  readonly standby: string;
  /** `slaves` names it. */
  readonly isServed: boolean;
  readonly delivered: readonly DeliveredRange[];
  readonly missing: readonly MissingRange[];
  /** Oldest first. */
  readonly events: readonly LedgerEvent[];
  /** Lines and files that are not in our form. */
  readonly refused: readonly RefusedLine[];
  /** Older entries were removed. */
  readonly isCut: boolean;
  /** The abandonment that lasts. */
  readonly abandonment: LaneState['abandoned'];
  /** Undefined while no segment is known to be delivered. */
  readonly layout: WalLayout | undefined;
  readonly ranges: readonly Range[];
}

type Numbers = Pick<Range, 'timeline' | 'first' | 'last'>;

/** A stretch of WAL with the reason why it was not delivered. */
type Explained = Numbers & { readonly why: Why };

interface Place {
  readonly timeline: number;
  readonly number: number;
}

/** Why WAL from one place to another was not delivered. They are on two timelines if a promotion lies between them. */
interface Reason {
  readonly from: Place;
  readonly to: Place;
  readonly why: Why;
}

/** The first or the last lost file. It may have a name of its own, which stands for its place among the segments. */
function placeOf(text: string | undefined, layout: WalLayout): Place | undefined {
  const name = parseWalName(text ?? '');
  if (name.kind === 'history') return { timeline: name.timeline, number: 0 };
  const segment = segmentOf('segment' in name ? name.segment.text : name.text, layout);
  return segment && { timeline: segment.timeline, number: segmentNumber(segment, layout) };
}

function explained(
  first: string | undefined,
  last: string | undefined,
  why: Why,
  layout: WalLayout,
): readonly Reason[] {
  const [from, to] = [placeOf(first, layout), placeOf(last, layout)];
  return from === undefined || to === undefined ? [] : [{ from, to, why }];
}

/** The part of each reason that concerns a timeline. */
function reasonsOn(timeline: number, reasons: readonly Reason[]): readonly Explained[] {
  return reasons
    .filter(({ from, to }) => from.timeline <= timeline && timeline <= to.timeline)
    .map(({ from, to, why }) => ({
      timeline,
      first: timeline === from.timeline ? from.number : 0,
      last: timeline === to.timeline ? to.number : Infinity,
      why,
    }));
}

function reasonsIn(events: readonly LedgerEvent[], { abandoned, gap }: LaneState, layout: WalLayout) {
  const ofEvents = events.flatMap((event) => {
    if (event.kind === 'abandoned' || event.kind === 'resumed')
      return explained(event.first, event.last, 'abandoned', layout);
    if (event.kind !== 'gap') return [];
    return event.missing.flatMap(({ first, last }) => explained(first, last, 'gap', layout));
  });
  const now = explained(abandoned?.firstLost, abandoned?.lastLost, 'abandoned', layout);
  const gaps = (gap?.missing ?? []).flatMap(({ first, last }) => explained(first, last, 'gap', layout));
  return [...ofEvents, ...now, ...gaps];
}

/** Divides a hole by the reasons that cover parts of it. */
function explainHole(hole: Numbers, reasons: readonly Explained[]): readonly Explained[] {
  const { timeline, first, last } = hole;
  if (first > last) return [];
  const reason = reasons.find(
    (each) => each.timeline === timeline && each.first <= last && each.last >= first,
  );
  if (reason === undefined) return [{ timeline, first, last, why: 'not recorded' }];
  const part = { first: Math.max(first, reason.first), last: Math.min(last, reason.last) };
  return [
    ...explainHole({ timeline, first, last: part.first - 1 }, reasons),
    { timeline, ...part, why: reason.why },
    ...explainHole({ timeline, first: part.last + 1, last }, reasons),
  ];
}

function explainHoles(holes: readonly Numbers[], reasons: readonly Reason[]): readonly Explained[] {
  const timelines = new Set(holes.map(({ timeline }) => timeline));
  return [...timelines].flatMap((timeline) => {
    const own = reasonsOn(timeline, reasons);
    return holes.filter((hole) => hole.timeline === timeline).flatMap((hole) => explainHole(hole, own));
  });
}

/** The history files of this server. Without one, nothing shows where its timeline begins. */
async function readHistories({ settings: { pgdata } }: ArchiverDeps): Promise<Histories> {
  try {
    const directory = await walDirectory(pgdata);
    return await readHistoriesOf(directory, walNamesAmong(await readdir(directory)));
  } catch {
    return new Map();
  }
}

async function missingFrom(
  deps: ArchiverDeps,
  ranges: readonly Range[],
  reasons: readonly Reason[],
  layout: WalLayout,
): Promise<readonly Explained[]> {
  const histories = await readHistories(deps);
  const across = holesAcross(ranges, (timeline) => pathTo(timeline, histories, layout));
  return [
    ...explainHoles(holesIn(ranges), reasons),
    // Between two timelines another host may have been the primary, and have delivered the rest.
    ...explainHoles(across, reasons).filter(({ why }) => why !== 'not recorded'),
  ].sort((a, b) => a.timeline - b.timeline || a.first - b.first);
}

function stretch({ timeline, first, last }: Numbers, layout: WalLayout): Stretch {
  return {
    timeline,
    first: nameOf(timeline, first, layout).text,
    last: nameOf(timeline, last, layout).text,
    segments: countOf({ first, last }),
  };
}

/** Throws for a range of another layout: it cannot be counted together with the others. */
function rangeOf(line: Extract<LedgerLine, { kind: 'range' }>): Range {
  return readRange(line, readLayout(line));
}

async function readState(place: LedgerPlace, refused: RefusedLine[]) {
  try {
    return await readLedgerState(place);
  } catch (error) {
    refused.push({ file: place.ledgerFile, line: 1, reason: messageOf(error) });
    return undefined;
  }
}

/** One whose file is not understood must not hide the other standbys. */
async function readStateOfLane(lane: Lane, refused: RefusedLine[]): Promise<LaneState> {
  try {
    return await readLaneState(lane);
  } catch (error) {
    if (!(error instanceof PitrError)) throw error;
    refused.push({ file: lane.stateFile, line: 1, reason: error.detail ?? error.message });
    return fresh;
  }
}

/** The lines that can be shown; those of ranges that there cannot be are refused. */
function parseLine(value: unknown): LedgerLine & { readonly range?: Range } {
  const line = readLine(value);
  return line.kind === 'range' ? { ...line, range: rangeOf(line) } : line;
}

/** Reads the ledger of one standby, whether `slaves` names it or not. */
export async function readLedger(deps: ArchiverDeps, standby: string): Promise<Ledger> {
  const place = ledgerPlace(deps.layout.privateDirectory, standby);
  const target = deps.settings.standbys.find(({ name }) => name === standby);
  // Read first: a range that is closed meanwhile is then seen twice, and not never.
  const problems: RefusedLine[] = [];
  const state = await readState(place, problems);
  const { entries, refused, isCut } = await readJournal(place.ledgerEvents, parseLine);
  const events = entries.filter((line): line is LedgerEvent => line.kind !== 'range');
  const closed = entries.flatMap((line) => (line.kind === 'range' ? [line] : []));
  const newestClosed = closed.at(-1);
  const layout = (state && layoutOfState(state)) ?? (newestClosed && readLayout(newestClosed));
  const laneState =
    target === undefined ? fresh : await readStateOfLane(laneOf(deps.layout, target), problems);
  const ranges = sortedRanges([
    ...closed.flatMap(({ range, segmentSize }) =>
      range !== undefined && segmentSize === layout?.segmentSize ? [range] : [],
    ),
    ...(state === undefined ? [] : openRanges(state)),
  ]);
  const reasons = layout === undefined ? [] : reasonsIn(events, laneState, layout);
  return {
    standby,
    isServed: target !== undefined,
    delivered:
      layout === undefined
        ? []
        : ranges.map((range) => ({
            ...stretch(range, layout),
            firstAt: range.firstAt,
            lastAt: range.lastAt,
            learned: range.learned,
          })),
    missing:
      layout === undefined
        ? []
        : (await missingFrom(deps, ranges, reasons, layout)).map((hole) => ({
            ...stretch(hole, layout),
            why: hole.why,
          })),
    events,
    refused: [...problems, ...refused],
    isCut,
    abandonment: laneState.abandoned,
    layout,
    ranges,
  };
}

/** The standbys of the INI file, and those that once were there. */
export async function ledgerNames(deps: ArchiverDeps): Promise<readonly string[]> {
  const served = lanesOf(deps).map(({ name }) => name);
  const { ledgerDirectory } = ledgerPlace(deps.layout.privateDirectory, 'any');
  const found = await readdir(ledgerDirectory).catch(() => []);
  const others = found.map(standbyOfLedger).filter((name) => name !== undefined && !served.includes(name));
  return [...served, ...new Set(others.filter((name) => name !== undefined).sort())];
}
