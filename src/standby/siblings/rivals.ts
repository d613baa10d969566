/** Finds standbys that were promoted, or are about to be: beside them this host must not be promoted. Pure. */
import type { StandbyTarget } from '../../config/options-archiver.ts';
import type { LeftTimeline } from '../../postgres/left-timeline.ts';
import { parseLsn } from '../../postgres/lsn.ts';
import type { TimelinePath } from '../../postgres/timelines.ts';
import type { AnswerOf } from '../../verbs/verbs.ts';
import type { Sibling } from './ask.ts';

type Said = AnswerOf<'status'>;

/** Why a standby is a rival. */
export type Rivalry =
  /** Its server takes writes. */
  | { readonly kind: 'open'; readonly timeline: number | undefined }
  /** It was promoted to a timeline that is not in the history of this host, and is stopped or cannot be asked. */
  | { readonly kind: 'promoted'; readonly timeline: number }
  /** A -F999 or --switchover promotes it. `run` is different for each. */
  | { readonly kind: 'being-promoted'; readonly run: string }
  /** It follows a server that was promoted to a timeline that this host does not know. */
  | { readonly kind: 'follows'; readonly timeline: number };

export type Rival =
  /** `bySwitchover`: what promotes it, or has promoted it, is a --switchover that is not finished. */
  | { readonly target: StandbyTarget; readonly rivalry: Rivalry; readonly bySwitchover?: boolean }
  /** This host was informed of a promotion that it has not followed. */
  | { readonly target: undefined; readonly mark: LeftTimeline };

/** On its timeline, or on an earlier one that it has not left yet as far as pg_control shows. */
export function timelineOf({ proved, restartpoint }: Said): number | undefined {
  const timelines = [proved, restartpoint].flatMap((place) => (place === undefined ? [] : [place.timeline]));
  return timelines.length === 0 ? undefined : Math.max(...timelines);
}

/**
 * Whether this host follows the promotion to that timeline. Two hosts that are promoted apart give their timelines the
 * same number: only the location where it begins distinguishes them.
 */
export function followsPromotion(
  path: TimelinePath,
  { promotedTo, ancestry }: Pick<Said, 'promotedTo' | 'ancestry'>,
): boolean {
  const place = path.findIndex(({ timeline }) => timeline === promotedTo);
  if (place < 0) return false;
  const [parent, there] = [path[place - 1], ancestry?.at(-1)];
  // Up to 9.2 no history names the location, and a history that was removed names nothing.
  if (parent?.endLsn === undefined || there === undefined) return true;
  return parent.timeline === there.timeline && parent.endLsn === parseLsn(there.lsn);
}

/** @param path the history of this host; undefined if it cannot be read */
export function rivalryOf(said: Said, path: TimelinePath = []): Rivalry | undefined {
  const { server, promotedTo, promotion, isStandby } = said;
  const timeline = timelineOf(said);
  if (server === 'production') return { kind: 'open', timeline: promotedTo ?? timeline };
  if (promotedTo !== undefined && !followsPromotion(path, said))
    return { kind: 'promoted', timeline: promotedTo };
  if (promotion !== undefined) return { kind: 'being-promoted', run: promotion };
  const newest = path.at(-1)?.timeline;
  const isLater = newest !== undefined && timeline !== undefined && timeline > newest;
  return isLater && isStandby === true ? { kind: 'follows', timeline } : undefined;
}

function rivalsAmong(siblings: readonly Sibling[], path: TimelinePath | undefined): readonly Rival[] {
  return siblings.flatMap(({ target, answer }) => {
    if (answer.kind !== 'answered' && answer.kind !== 'mute') return [];
    const { promotedAtTimeline: promotedTo } = answer.sentinel;
    const marked = promotedTo === undefined ? {} : { promotedTo };
    const said: Said = answer.kind === 'answered' ? answer.said : { server: 'unknown' };
    const rivalry = rivalryOf({ ...marked, ...said }, path);
    return rivalry === undefined ? [] : [rivalOf(target, rivalry, said)];
  });
}

export function rivalOf(
  target: StandbyTarget,
  rivalry: Rivalry,
  { switchover }: Pick<Said, 'switchover'>,
): Rival {
  return switchover === undefined ? { target, rivalry } : { target, rivalry, bySwitchover: true };
}

/** The marks of this host's own archive for timelines that its history has not left there. */
function notFollowed(marks: readonly LeftTimeline[], path: TimelinePath): readonly LeftTimeline[] {
  return marks.filter(({ timeline, lsn }) => {
    const place = path.findIndex((part) => part.timeline === timeline);
    const part = path[place];
    if (part === undefined) return false;
    return place === path.length - 1 || (part.endLsn !== undefined && part.endLsn > lsn);
  });
}

/** @param left the marks of this host's own archive */
export function findRivals(
  siblings: readonly Sibling[],
  path: TimelinePath | undefined,
  left: readonly LeftTimeline[],
): readonly Rival[] {
  const marks = notFollowed(left, path ?? []);
  return [...rivalsAmong(siblings, path), ...marks.map((mark) => ({ target: undefined, mark }) as const)];
}
