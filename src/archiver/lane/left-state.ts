import { messageOf, PitrError } from '../../errors.ts';
import { formatLeft, type LeftTimeline, parseLeft } from '../../postgres/left-timeline.ts';
import { readIfExists, writeDurably } from '../../system/durable.ts';
import { type Checked, is, parseJson } from '../../system/json.ts';
import type { Lane } from './lane.ts';

const isMark = (value: unknown): value is string =>
  typeof value === 'string' && parseLeft(value) !== undefined;

/** The facts that this host has about one standby and the timelines that were left; marks as in a sentinel. */
const fields = {
  /** The standby was seen on the timeline that branched off: it need not be asked again. */
  followed: is.listOf(isMark),
  /** The standby is to forget these, and could not be informed yet. */
  restored: is.listOf(isMark),
};

type LeftState = Checked<typeof fields>;

const fresh: LeftState = { followed: [], restored: [] };

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
  if (text !== JSON.stringify(before, undefined, 2)) await writeDurably(lane.leftFile, `${text}\n`);
}

function withText(texts: readonly string[], mark: LeftTimeline): readonly string[] {
  return [...new Set([...texts, formatLeft(mark)])];
}

function withoutText(texts: readonly string[], mark: LeftTimeline): readonly string[] {
  return texts.filter((text) => text !== formatLeft(mark));
}

export async function hasFollowed(lane: Lane, mark: LeftTimeline): Promise<boolean> {
  return (await readLeftState(lane)).followed.includes(formatLeft(mark));
}

export function noteFollowed(lane: Lane, mark: LeftTimeline): Promise<void> {
  return change(lane, (state) => ({ ...state, followed: withText(state.followed, mark) }));
}

/** The marks that this standby is still to forget. */
export async function restoredFor(lane: Lane): Promise<readonly LeftTimeline[]> {
  const { restored } = await readLeftState(lane);
  return restored.map(parseLeft).filter((mark) => mark !== undefined);
}

export function rememberRestored(lane: Lane, mark: LeftTimeline): Promise<void> {
  return change(lane, (state) => ({
    followed: withoutText(state.followed, mark),
    restored: withText(state.restored, mark),
  }));
}

/** The standby has forgotten the mark, or never had it. */
export function noteRestored(lane: Lane, mark: LeftTimeline): Promise<void> {
  return change(lane, (state) => ({
    followed: withoutText(state.followed, mark),
    restored: withoutText(state.restored, mark),
  }));
}
