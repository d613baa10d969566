/** Two standbys must not both be promoted: the objection to that, and the last question before the promotion. */
import { refusal } from '../../../errors.ts';
import { describeLeft, type LeftTimeline } from '../../../postgres/left-timeline.ts';
import type { TimelinePath } from '../../../postgres/timelines.ts';
import { isThisHost } from '../../../system/own-addresses.ts';
import { readPostmaster } from '../../../system/postmaster.ts';
import { readSentinel } from '../../../system/sentinel.ts';
import { observeArchive } from '../../archive/own-archive.ts';
import { readOwnPath } from '../../archive/replay-check.ts';
import type { StandbyDeps } from '../../deps.ts';
import { probePrimary } from '../../primary/liveness/liveness.ts';
import { livenessObjections } from '../../primary/liveness/verdict.ts';
import { findDataDirectory } from '../../server/progress.ts';
import type { Sibling } from '../../siblings/ask.ts';
import { askOnceMore } from '../../siblings/ask-once-more.ts';
import { compareSiblings, fetchesOfOthers } from '../../siblings/compare.ts';
import { askSilent, type Others, type SiblingFacts, withAnswers } from '../../siblings/observe.ts';
import { ownReach } from '../../siblings/own-reach.ts';
import { findRivals, type Rival, type Rivalry } from '../../siblings/rivals.ts';
import type { Force } from '../../steps/force.ts';
import { type Objection, refuseOn, sayOverruled } from '../../steps/objections.ts';
import type { LocalFacts } from './facts.ts';
import type { FailoverRun } from './run.ts';
import { returnedObjections, siblingName } from './sibling-words.ts';

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
  /** When the primary had been found not to live; undefined if it need not be asked again. */
  readonly askedMs?: number | undefined;
  readonly siblings: SiblingFacts;
  readonly force: Force;
  /** Those that were silent are asked, too, if that was long ago. A switchover does not wait for them while nobody takes writes. */
  readonly asksSilent?: true;
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

/** The primary's address may have been moved here already: then the standby that this run has started answers there. */
async function isAtPrimaryAddress({ settings }: StandbyDeps): Promise<boolean> {
  const postmaster = await readPostmaster(settings.pgdata);
  if (postmaster.kind !== 'running' || postmaster.port !== settings.port) return false;
  return isThisHost(settings.master_public_ip);
}

/**
 * The primary may have been started while this standby was: until the record of this host says that a promotion is under
 * way, nothing keeps it from that. A look takes time during which nobody takes writes, so a recent one counts.
 */
async function primaryAgain(deps: StandbyDeps, askedMs: number | undefined): Promise<readonly Objection[]> {
  if (askedMs === undefined) return [];
  if (deps.monotonicMs() - askedMs < deps.settings.failover_probe_timeout * 1000) return [];
  if (await isAtPrimaryAddress(deps)) return [];
  const now = await probePrimary(deps);
  // A fault that keeps this host from asking now does not undo the first answer.
  return now.kind === 'alive' ? livenessObjections(now) : [];
}

interface Returned {
  /** Those that were silent, and answer now. */
  readonly siblings: readonly Sibling[];
  /** For what they have come back with, beside a promotion that they say themselves. */
  readonly objections: readonly Objection[];
}

async function whoReturned(
  deps: StandbyDeps,
  { siblings: others, asksSilent }: LastQuestion,
): Promise<Returned> {
  const siblings = asksSilent === true ? await askSilent(deps, others) : [];
  if (siblings.length === 0) return { siblings, objections: [] };
  deps.log.notice(`answers now: ${siblings.map(siblingName).join(', ')}`);
  const mute = siblings.filter(({ answer }) => answer.kind === 'mute');
  const promoted = findRivals(mute, others.path, []).map(objectionOf);
  return { siblings, objections: [...promoted, ...(await lacking(deps, others, siblings))] };
}

/** The WAL that they have, and this host has not, if any was asked for at first. */
async function lacking(
  deps: StandbyDeps,
  { comparison }: SiblingFacts,
  returned: readonly Sibling[],
): Promise<readonly Objection[]> {
  if (comparison.reach === undefined) return [];
  const directory = await findDataDirectory(deps);
  if (directory === undefined) return [];
  const archive = await observeArchive(deps.settings.archivedir, directory);
  if (archive.kind !== 'archive') return [];
  const own = await ownReach(deps, directory, archive.archive);
  if (own === undefined) return [];
  const compared = compareSiblings(returned, own);
  return returnedObjections({ comparison: { ...compared, fetches: fetchesOfOthers(compared, own) } });
}

/** Long after the first question, or at the same moment as another run. Those found before are overruled. */
export async function seeNoRival(run: FailoverRun, question: LastQuestion): Promise<void> {
  const { server, promotion } = run;
  const { deps } = server;
  const { siblings: facts, force, askedMs } = question;
  const { list, path, rivals: before } = facts;
  const askOthersAgain = async () => {
    const returned = await whoReturned(deps, question);
    if (list?.kind !== 'known') return { returned, asked: [] };
    const siblings = withAnswers(facts.siblings, returned.siblings);
    const asked = await askOnceMore(deps, list.archiver, siblings, { path, run: promotion?.run ?? '' });
    return { returned, asked };
  };
  const [{ returned, asked }, primary] = await Promise.all([askOthersAgain(), primaryAgain(deps, askedMs)]);
  run.returned = returned.siblings;
  const rivals = [...asked, ...(await informedOf(deps, path))];
  refuseOn([...primary, ...returned.objections, ...rivals.map(objectionOf)], force);
  const added = rivals.filter(({ target }) => !before.some((each) => each.target?.name === target?.name));
  sayOverruled(deps, [...primary, ...returned.objections, ...added.map(objectionOf)], force);
}
