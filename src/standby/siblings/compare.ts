/** Compares what the other standbys have with what this one has. Pure. */
import type { StandbyTarget } from '../../config/options-archiver.ts';
import { leftMarkOf, type LeftTimeline } from '../../postgres/left-timeline.ts';
import { firstLsnOf, isPossibleSegment, nameOf, parseLsn, segmentNumber } from '../../postgres/lsn.ts';
import { parseWalName, type SegmentName } from '../../postgres/wal-name.ts';
import { furthestOf } from '../archive/offer.ts';
import type { ReplayFacts } from '../archive/replay-check.ts';
import type { Sibling } from './ask.ts';
import { type Rivalry, rivalryOf, timelineOf } from './rivals.ts';

/** How far this host can replay by what it has itself. */
export interface OwnReach {
  readonly facts: Pick<ReplayFacts, 'from' | 'path' | 'layout' | 'segments' | 'inPgWal'>;
  /** The end of what was replayed or received, or at least where replay begins. */
  readonly furthest: bigint;
  /** Timelines whose WAL this host's archive does not accept from some location on. */
  readonly left: readonly LeftTimeline[];
}

/** A segment that only another standby has. */
export interface Fetch {
  readonly from: StandbyTarget;
  /** The directory there. */
  readonly directory: string;
  readonly name: SegmentName;
}

/** How another standby that answered compares with this one. */
type SiblingStanding =
  /** It was promoted, or is about to be, apart from this host: see rivals.ts. */
  | { readonly kind: 'rival'; readonly rivalry: Rivalry }
  /** It was promoted to a timeline that this host has followed. */
  | { readonly kind: 'former-primary'; readonly timeline: number }
  /** It is on a timeline that is not in the history of ours, and no later one. */
  | { readonly kind: 'other-timeline'; readonly timeline: number }
  /** It has nothing that this host does not have or fetch. */
  | { readonly kind: 'not-ahead' }
  /** `lsn`: how far it has come; `bytes` beyond what this host can replay. */
  | { readonly kind: 'ahead'; readonly lsn: bigint; readonly bytes: bigint };

export interface Compared {
  readonly target: StandbyTarget;
  readonly standing: SiblingStanding;
}

export interface Comparison {
  /** The segments to fetch, in order and without a gap. */
  readonly fetches: readonly Fetch[];
  /** How far this host can replay once they are here; undefined if its own WAL was not examined. */
  readonly reach: bigint | undefined;
  /** Those that answered. */
  readonly compared: readonly Compared[];
}

function standingApart(sibling: Sibling, { facts }: OwnReach): SiblingStanding | undefined {
  if (sibling.answer.kind !== 'answered') return undefined;
  const { said, sentinel } = sibling.answer;
  const known = { ...said, promotedTo: said.promotedTo ?? sentinel.promotedAtTimeline };
  const rivalry = rivalryOf(known, facts.path);
  if (rivalry !== undefined) return { kind: 'rival', rivalry };
  if (known.promotedTo !== undefined) return { kind: 'former-primary', timeline: known.promotedTo };
  const timeline = timelineOf(said);
  if (timeline === undefined || said.isStandby !== true) return undefined;
  const part = facts.path.find((each) => each.timeline === timeline);
  if (part === undefined) return { kind: 'other-timeline', timeline };
  const hasLeft = said.proved?.timeline === timeline && part.endLsn !== undefined;
  if (hasLeft && parseLsn(said.proved.lsn) > part.endLsn) return { kind: 'other-timeline', timeline };
  return undefined;
}

/** A sibling on another history may have other WAL under the names that this host needs. */
function hasOurWal(sibling: Sibling, own: OwnReach): boolean {
  const standing = standingApart(sibling, own);
  if (standing?.kind === 'rival') return standing.rivalry.kind !== 'follows';
  return standing?.kind !== 'other-timeline';
}

function segmentNames(texts: readonly string[]): readonly SegmentName[] {
  return texts.map(parseWalName).filter((name) => name.kind === 'segment');
}

interface Place {
  readonly isHeld: boolean;
  readonly fetch: Fetch | undefined;
}

/** Whether the server would need the segment: its number lies in the part of its timeline. */
function isOnPath(name: SegmentName, { facts: { path, layout } }: OwnReach): boolean {
  if (!isPossibleSegment(name, layout)) return false;
  const number = segmentNumber(name, layout);
  return path.some(
    ({ timeline, firstNumber, lastNumber }) =>
      timeline === name.timeline && firstNumber <= number && number <= lastNumber,
  );
}

/** The segments of this host by number. One that cannot be replayed occupies its name: nothing replaces it. */
function ownPlaces(own: OwnReach): Map<number, Place> {
  const { segments, inPgWal, layout } = own.facts;
  const places = new Map<number, Place>();
  for (const name of inPgWal.filter((each) => isOnPath(each, own))) {
    const end = firstLsnOf(name, layout.segmentSize) + BigInt(layout.segmentSize);
    // A server still writes to the last one.
    if (end <= own.furthest) places.set(segmentNumber(name, layout), { isHeld: true, fetch: undefined });
  }
  for (const { name, fault } of segments.filter((each) => isOnPath(each.name, own)))
    places.set(segmentNumber(name, layout), { isHeld: fault === undefined, fetch: undefined });
  return places;
}

function offers({ target, answer }: Sibling): readonly Fetch[] {
  if (answer.kind !== 'answered') return [];
  const { archived, inPgWal, walDirectory } = answer.said;
  const from = (directory: string, texts: readonly string[]) =>
    segmentNames(texts).map((name) => ({ from: target, directory, name }));
  // The path comes from another host.
  const isPath = walDirectory?.startsWith('/') === true && !walDirectory.includes('\0');
  return [...from(target.r_archivedir, archived), ...(isPath ? from(walDirectory, inPgWal) : [])];
}

/** Adds what others have where this host has nothing: of several timelines, the latest one's. */
function withOffers(own: OwnReach, siblings: readonly Sibling[]): ReadonlyMap<number, Place> {
  const { layout } = own.facts;
  const places = ownPlaces(own);
  for (const fetch of siblings.flatMap(offers)) {
    const isForbidden = leftMarkOf(fetch.name, own.left, layout) !== undefined;
    if (isForbidden || !isOnPath(fetch.name, own)) continue;
    const number = segmentNumber(fetch.name, layout);
    const there = places.get(number);
    const isBetter =
      there === undefined || (there.fetch !== undefined && there.fetch.name.timeline < fetch.name.timeline);
    if (isBetter) places.set(number, { isHeld: false, fetch });
  }
  return places;
}

function standingOf(sibling: Sibling, own: OwnReach, reach: bigint): SiblingStanding {
  const apart = standingApart(sibling, own);
  if (apart !== undefined || sibling.answer.kind !== 'answered') return apart ?? { kind: 'not-ahead' };
  const { said } = sibling.answer;
  // The locations of a former primary's pg_control are no WAL that it received; its last segments are perhaps not whole.
  const lsn = said.isStandby === true ? furthestOf(said) : 0n;
  return lsn > reach ? { kind: 'ahead', lsn, bytes: lsn - reach } : { kind: 'not-ahead' };
}

/**
 * The fetches, without those of segments that are whole in pg_wal here, although replay has not come to them. The last one of each
 * timeline is perhaps not whole.
 */
export function fetchesOfOthers({ fetches }: Comparison, { facts: { inPgWal } }: OwnReach): readonly Fetch[] {
  const isWhole = ({ timeline, text }: SegmentName): boolean =>
    inPgWal.some((each) => each.text === text) &&
    inPgWal.some((each) => each.timeline === timeline && each.text > text);
  return fetches.filter(({ name }) => !isWhole(name));
}

/** Undefined reach: nothing is known of this host's own WAL, so nobody can be compared with it. */
export function compareSiblings(siblings: readonly Sibling[], own: OwnReach | undefined): Comparison {
  if (own === undefined) return { fetches: [], reach: undefined, compared: [] };
  const { from, layout } = own.facts;
  const answered = siblings.filter(({ answer }) => answer.kind === 'answered');
  const places = withOffers(
    own,
    answered.filter((sibling) => hasOurWal(sibling, own)),
  );
  const fetches: Fetch[] = [];
  let number = segmentNumber(from, layout);
  for (let place = places.get(number); place !== undefined; place = places.get(++number)) {
    if (place.fetch !== undefined) fetches.push(place.fetch);
    else if (!place.isHeld) break;
  }
  const row = firstLsnOf(nameOf(from.timeline, number, layout), layout.segmentSize);
  const reach = number > segmentNumber(from, layout) && row > own.furthest ? row : own.furthest;
  const compared = answered.map((sibling) => ({
    target: sibling.target,
    standing: standingOf(sibling, own, reach),
  }));
  return { fetches, reach, compared };
}
