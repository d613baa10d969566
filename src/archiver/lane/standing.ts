/**
 * Whether a standby has replayed past the location where a timeline was left. To know it changes nothing in what is
 * delivered, so the question runs beside the delivery: one that is not answered in time leaves it unknown.
 */
import { messageOf } from '../../errors.ts';
import { describeLeft, type LeftTimeline } from '../../postgres/left-timeline.ts';
import { besideOf } from '../../system/ssh-beside.ts';
import { callVerb } from '../../verbs/call.ts';
import type { Delivery } from '../delivery/delivery.ts';
import type { Concern } from '../delivery/trouble.ts';
import type { ArchiverDeps } from '../deps.ts';
import type { Lane } from './lane.ts';
import { divergedFrom, type KnownStanding, mayAsk, noteStandings } from './left-state.ts';

function diverged(mark: LeftTimeline): Concern {
  return {
    kind: 'diverged',
    reason: `${describeLeft(mark)}, and this standby has replayed that timeline past there`,
    hint: 'It can never follow the new timeline. On that host: stop its server, and make a new base backup (cmd_standby -B).',
  };
}

/** For a caller for whose end PostgreSQL or an operator waits. */
export const shortQuestionMs = 5_000;
/** Node has to start there, and its server has to be asked. */
export const longQuestionMs = 30_000;

/**
 * The concern about a standby that has replayed past one of these marks, by what is known of it. `standings`: answers
 * that are perhaps not noted.
 */
export async function divergence(
  lane: Lane,
  marks: readonly LeftTimeline[],
  standings: readonly KnownStanding[] = [],
): Promise<Concern | undefined> {
  const mark = await divergedFrom(lane, marks, standings);
  return mark === undefined ? undefined : diverged(mark);
}

async function ask(
  { log, monotonicMs }: ArchiverDeps,
  { shell, sentinel, place, standby, undecided = [] }: Delivery,
  limitMs: number,
): Promise<readonly KnownStanding[]> {
  const known: KnownStanding[] = [];
  if (sentinel?.command === undefined) return known;
  const { systemIdentifier: cluster } = place;
  const endMs = monotonicMs() + limitMs;
  const beside = besideOf(shell);
  for (const mark of undecided) {
    const args = { timeline: mark.timeline, cluster };
    const leftMs = Math.max(1, endMs - monotonicMs());
    const result = await callVerb(beside, sentinel.command, 'check-left', args, leftMs);
    if (result.kind !== 'answered') {
      log.debug(`standby ${standby.name} does not say how far it has come: ${result.reason}`);
      return known;
    }
    known.push({ mark, standing: result.answer.standing ?? 'unknown' });
  }
  return known;
}

/**
 * Asks beside the delivery, if there is anything to ask. Never fails. The caller holds the lane's lock, but need not
 * hold it until the answer is there.
 */
export async function beginQuestion(
  deps: ArchiverDeps,
  lane: Lane,
  delivery: Delivery,
  limitMs: number,
): Promise<{ readonly answer: Promise<readonly KnownStanding[]> }> {
  const { undecided = [], sentinel } = delivery;
  const isDue = undecided.length > 0 && sentinel?.command !== undefined && (await mayAsk(deps, lane));
  if (!isDue) return { answer: Promise.resolve([]) };
  const answer = ask(deps, delivery, limitMs).catch((error: unknown) => {
    deps.log.debug(`standby ${lane.name} could not be asked how far it has come: ${messageOf(error)}`);
    return [];
  });
  return { answer };
}

/** Notes the answer, as far as the disk can take it. The caller holds the lane's lock. @returns the concern about this standby, as it is now */
export async function takeStandings(
  deps: ArchiverDeps,
  lane: Lane,
  { concern, ownPast }: Pick<Delivery, 'concern' | 'ownPast'>,
  standings: readonly KnownStanding[],
): Promise<Concern | undefined> {
  if (standings.length === 0) return concern;
  await noteStandings(deps, lane, standings);
  return (
    (await divergence(lane, ownPast?.declared ?? [], standings)) ??
    (concern?.kind === 'diverged' ? undefined : concern)
  );
}
