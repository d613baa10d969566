import { messageOf, PitrError } from '../../errors.ts';
import { formatLeft, type LeftTimeline, parseLeft } from '../../postgres/left-timeline.ts';
import { readIfExists } from '../../system/durable.ts';
import { type Checked, is, parseJson } from '../../system/json.ts';
import { replaceDurably } from '../../system/replaceable.ts';
import type { Standing } from '../../verbs/verbs.ts';
import type { ArchiverDeps } from '../deps.ts';
import type { Lane } from './lane.ts';

const isMark = (value: unknown): value is string =>
  typeof value === 'string' && parseLeft(value) !== undefined;

/** The facts that this host has about one standby and the timelines that were left; marks as in a sentinel. */
const fields = {
  /** The standby was seen on the timeline that branched off: it need not be asked again. */
  followed: is.listOf(isMark),
  /** By its last answer it has replayed past these. */
  diverged: is.listOf(isMark),
  /** When it was last asked for that, in milliseconds since 1970. */
  asked: is.optional(is.number),
  /** It took too long over a question that ended without an answer: when (as `asked`), and why there was none. */
  unanswered: is.optional(is.object({ atMs: is.number, reason: is.text })),
  /** The standby is to forget these, and could not be informed yet. */
  restored: is.listOf(isMark),
  /** Marks of this host that do not count, of which the log knows. */
  ignored: is.listOf(isMark),
};

type LeftState = Checked<typeof fields>;

const fresh: LeftState = { followed: [], diverged: [], restored: [], ignored: [] };

async function readLeftState({ leftFile }: Lane): Promise<LeftState> {
  const content = await readIfExists(leftFile);
  if (content === undefined) return fresh;
  try {
    return parseJson(content.toString('utf8'), fields);
  } catch (error) {
    throw new PitrError(`cannot understand "${leftFile}"`, {
      detail: messageOf(error),
      hint: 'Remove it, and run cmd_archiver --timeline-restored again if a standby is to forget a timeline.',
    });
  }
}

/** The caller holds the lane's lock. */
async function change(lane: Lane, use: (before: LeftState) => LeftState): Promise<void> {
  const before = await readLeftState(lane);
  const after = use(before);
  const text = JSON.stringify(after, undefined, 2);
  if (text !== JSON.stringify(before, undefined, 2)) await replaceDurably(lane.leftFile, `${text}\n`);
}

/**
 * The same for facts without which WAL is delivered just as well, and which the next greeting finds again: a full disk
 * must not stop the delivery, which makes room.
 *
 * @returns whether it is noted
 */
async function tryChange(
  { log }: Pick<ArchiverDeps, 'log'>,
  lane: Lane,
  use: (before: LeftState) => LeftState,
): Promise<boolean> {
  try {
    await change(lane, use);
    return true;
  } catch (error) {
    log.debug(`cannot note how standby ${lane.name} stands to a timeline that was left: ${messageOf(error)}`);
    return false;
  }
}

function withText(texts: readonly string[], mark: LeftTimeline): readonly string[] {
  return [...new Set([...texts, formatLeft(mark)])];
}

function withoutText(texts: readonly string[], mark: LeftTimeline): readonly string[] {
  return texts.filter((text) => text !== formatLeft(mark));
}

/** Forgets all about a mark. */
function withoutMark(state: LeftState, mark: LeftTimeline): LeftState {
  return {
    ...state,
    followed: withoutText(state.followed, mark),
    diverged: withoutText(state.diverged, mark),
    restored: withoutText(state.restored, mark),
    ignored: withoutText(state.ignored, mark),
  };
}

/** The marks of which the standby is not known to be on the timeline that branched off. */
export async function undecidedOf(
  lane: Lane,
  marks: readonly LeftTimeline[],
): Promise<readonly LeftTimeline[]> {
  const { followed } = await readLeftState(lane);
  return marks.filter((mark) => !followed.includes(formatLeft(mark)));
}

/** A mark, and how the standby stands to it. */
export interface KnownStanding {
  readonly mark: LeftTimeline;
  readonly standing: Standing;
}

/** The marks past which the standby is known to have replayed. An answer that knows nothing takes none back. */
function divergedBy(diverged: readonly string[], { mark, standing }: KnownStanding): readonly string[] {
  if (standing === 'unknown') return diverged;
  return (standing === 'diverged' ? withText : withoutText)(diverged, mark);
}

function withStandings(before: LeftState, standings: readonly KnownStanding[]): LeftState {
  return standings.reduce(
    (state, known) => ({
      ...state,
      followed: known.standing === 'followed' ? withText(state.followed, known.mark) : state.followed,
      diverged: divergedBy(state.diverged, known),
    }),
    before,
  );
}

/** Notes how the standby stands to these marks. Never fails. */
export async function noteStandings(
  deps: ArchiverDeps,
  lane: Lane,
  standings: readonly KnownStanding[],
): Promise<void> {
  await tryChange(deps, lane, (state) => withStandings(state, standings));
}

/**
 * The first of these marks that the standby has replayed past, by its last answer: `standings` come before what is
 * noted.
 */
export async function divergedFrom(
  lane: Lane,
  marks: readonly LeftTimeline[],
  standings: readonly KnownStanding[] = [],
): Promise<LeftTimeline | undefined> {
  const { diverged } = withStandings(await readLeftState(lane), standings);
  return marks.find((mark) => diverged.includes(formatLeft(mark)));
}

/** A clock that was set back hinders nothing. */
function isWithin(timeMs: number, nowMs: number, spanMs: number): boolean {
  return timeMs <= nowMs && nowMs - timeMs < spanMs;
}

/** Something waits for the questions of a greeting: one that hangs must not be asked at each of them. */
const hushMs = 60_000;

/** Why a standby is to be asked nothing now, because the last question only took time; undefined if it may be asked. */
export async function hushOf(deps: ArchiverDeps, lane: Lane): Promise<string | undefined> {
  const noted = await readLeftState(lane).catch(() => fresh);
  const known = [noted.unanswered, lane.unnoted.unanswered].filter((each) => each !== undefined);
  return known.find(({ atMs }) => isWithin(atMs, deps.now(), hushMs))?.reason;
}

/** Never fails: where the disk takes nothing, this process remembers it. */
export async function noteUnanswered(deps: ArchiverDeps, lane: Lane, reason: string): Promise<void> {
  const unanswered = { atMs: deps.now(), reason };
  lane.unnoted.unanswered = unanswered;
  await tryChange(deps, lane, (state) => ({ ...state, unanswered }));
}

/** Each question starts a program there: a standby that is greeted often is not asked each time. */
const askAgainMs = 20_000;

/**
 * Whether the standby may be asked now; if so, it counts as asked. Never fails: where the disk takes nothing, this
 * process remembers it.
 */
export async function mayAsk(deps: ArchiverDeps, lane: Lane): Promise<boolean> {
  if ((await hushOf(deps, lane)) !== undefined) return false;
  const nowMs = deps.now();
  const { asked = -Infinity } = await readLeftState(lane).catch(() => fresh);
  const times = [asked, lane.unnoted.asked ?? -Infinity];
  if (times.some((time) => isWithin(time, nowMs, askAgainMs))) return false;
  lane.unnoted.asked = nowMs;
  await tryChange(deps, lane, (state) => ({ ...state, asked: nowMs }));
  return true;
}

/** Remembers that the log knows that a mark of this host does not count. @returns whether that is news. Never fails. */
export async function rememberIgnored(deps: ArchiverDeps, lane: Lane, mark: LeftTimeline): Promise<boolean> {
  if ((await readLeftState(lane)).ignored.includes(formatLeft(mark))) return false;
  await tryChange(deps, lane, (state) => ({ ...state, ignored: withText(state.ignored, mark) }));
  return true;
}

/** A mark that counts again is said anew should it cease to. Never fails. */
export async function forgetIgnored(
  deps: ArchiverDeps,
  lane: Lane,
  marks: readonly LeftTimeline[],
): Promise<void> {
  await tryChange(deps, lane, (state) => ({ ...state, ignored: marks.reduce(withoutText, state.ignored) }));
}

/** The marks that this standby is still to forget. */
export async function restoredFor(lane: Lane): Promise<readonly LeftTimeline[]> {
  const { restored } = await readLeftState(lane);
  return restored.map(parseLeft).filter((mark) => mark !== undefined);
}

/** A promise to the operator: it fails if it cannot be noted. */
export function rememberRestored(lane: Lane, mark: LeftTimeline): Promise<void> {
  return change(lane, (state) => ({
    ...withoutMark(state, mark),
    restored: withText(state.restored, mark),
  }));
}

/** The standby has forgotten the mark, or never had it. Never fails: the next greeting would only say so again. */
export async function noteRestored(deps: ArchiverDeps, lane: Lane, mark: LeftTimeline): Promise<void> {
  await tryChange(deps, lane, (state) => withoutMark(state, mark));
}
