/** Two standbys must not both be promoted: the objection to that, and the last question before the promotion. */
import { refusal } from '../../../errors.ts';
import { describeLeft, type LeftTimeline } from '../../../postgres/left-timeline.ts';
import type { TimelinePath } from '../../../postgres/timelines.ts';
import { readSentinel } from '../../../system/sentinel.ts';
import { readOwnPath } from '../../archive/replay-check.ts';
import type { StandbyDeps } from '../../deps.ts';
import { askOnceMore } from '../../siblings/ask-once-more.ts';
import type { Others, SiblingFacts } from '../../siblings/observe.ts';
import { findRivals, type Rival, type Rivalry } from '../../siblings/rivals.ts';
import type { Force } from '../../steps/force.ts';
import { type Objection, refuseOn, sayOverruled } from '../../steps/objections.ts';
import type { LocalFacts } from './facts.ts';
import type { FailoverRun } from './run.ts';
import { siblingName } from './sibling-words.ts';

export async function observeRivals(
  { directory, archive }: Pick<LocalFacts, 'directory' | 'archive'>,
  { siblings }: Others,
): Promise<Pick<SiblingFacts, 'rivals' | 'path'>> {
  const known = archive.kind === 'archive' ? archive.archive : undefined;
  const path = await readOwnPath(directory, known);
  return { path, rivals: findRivals(siblings, path, known?.sentinel.left ?? []) };
}

function describeRivalry(rivalry: Rivalry, bySwitchover: boolean): string {
  switch (rivalry.kind) {
    case 'open':
      return `is out of recovery${rivalry.timeline === undefined ? '' : `, on timeline ${rivalry.timeline}`}`;
    case 'promoted':
      return `was promoted to timeline ${rivalry.timeline}, which this host has not followed`;
    case 'being-promoted':
      return `is being promoted by ${bySwitchover ? 'a switchover' : 'another -F999'}`;
    case 'follows':
      return `is on timeline ${rivalry.timeline}, which is later than that of this host: another server was promoted`;
  }
}

const named = {
  name: 'sibling-promoted',
  cost: 'there may be two primaries then, and what one of them takes is lost',
} as const;

function objectionOf(rival: Rival): Objection {
  if (rival.target === undefined) {
    return {
      ...named,
      message: `${describeLeft(rival.mark)}, and this host has not followed that promotion`,
      hint: `If ${rival.mark.by} is the primary, let this standby follow it: cmd_standby -C FILE --follow ${rival.mark.by}`,
    };
  }
  const { target, rivalry, bySwitchover = false } = rival;
  return {
    ...named,
    message: `standby ${siblingName(rival)} ${describeRivalry(rivalry, bySwitchover)}`,
    hint: hintFor(target.name, rivalry, bySwitchover),
  };
}

function hintFor(name: string, { kind }: Rivalry, bySwitchover: boolean): string {
  const action = bySwitchover ? '--switchover' : '-F999';
  const orNot = bySwitchover ? '' : ', or -A stop there and then -S';
  if (kind === 'being-promoted')
    return `Wait for it; if it was interrupted, run ${action} on ${name} again${orNot}.`;
  return `If ${name} is to be the primary, finish ${action} there and let this standby follow it (--follow ${name}); if it was only opened to look at something, stop its server first and make a new base backup of it.`;
}

export function rivalObjections({ rivals }: Pick<SiblingFacts, 'rivals'>): readonly Objection[] {
  return rivals.map(objectionOf);
}

export interface LastQuestion {
  readonly siblings: SiblingFacts;
  readonly force: Force;
}

/** A promotion elsewhere has left that timeline, and has informed this host. */
export function refuseIfLeft(marks: readonly LeftTimeline[], timeline: number): void {
  const mark = marks.find((each) => each.timeline === timeline);
  if (mark === undefined) return;
  throw refusal(`${describeLeft(mark)}: another server has taken the primary's role`, {
    hint: `Let this standby follow it: cmd_standby -C FILE --follow ${mark.by}`,
  });
}

/** Another host may have informed this one meanwhile, also one that this host does not know or reach. */
async function informedOf(
  { settings }: StandbyDeps,
  path: TimelinePath | undefined,
): Promise<readonly Rival[]> {
  const sentinel = await readSentinel(settings.archivedir).catch(() => undefined);
  return findRivals([], path, sentinel?.left ?? []);
}

/** Long after the first question, or at the same moment as another run. Those found before are overruled. */
export async function seeNoRival(
  { server: { deps }, promotion }: FailoverRun,
  { siblings: { list, siblings, path, rivals: before }, force }: LastQuestion,
): Promise<void> {
  const asked =
    list?.kind === 'known'
      ? await askOnceMore(deps, list.archiver, siblings, { path, run: promotion?.run ?? '' })
      : [];
  const rivals = [...asked, ...(await informedOf(deps, path))];
  refuseOn(rivals.map(objectionOf), force);
  const added = rivals.filter(({ target }) => !before.some((each) => each.target?.name === target?.name));
  sayOverruled(deps, added.map(objectionOf), force);
}
