import type { ArchiverSettings } from '../../config/options-archiver.ts';
import { messageOf } from '../../errors.ts';
import { formatLeft, type LeftTimeline, withLeft } from '../../postgres/left-timeline.ts';
import { quoted } from '../../system/printable.ts';
import { callVerb } from '../../verbs/call.ts';
import type { AnswerOf } from '../../verbs/verbs.ts';
import type { StandbyDeps } from '../deps.ts';
import { type Sibling, withSibling } from './ask.ts';
import type { Comparison } from './compare.ts';

export type Told =
  /** `standing`: whether it has replayed past the fork of the timeline that was left last. */
  | {
      readonly kind: 'told';
      readonly sibling: Sibling;
      readonly standing: AnswerOf<'mark-left'>['standing'];
      /** Files that were moved aside there. */
      readonly moved: number;
    }
  | { readonly kind: 'not-told'; readonly sibling: Sibling; readonly reason: string };

/**
 * A standby cannot tell of which timeline the WAL is that it has replayed. One that had more than this host before the
 * promotion has more of the old timeline: the new one did not exist then.
 */
export function withKnown(told: Told, { compared }: Comparison): Told {
  if (told.kind !== 'told' || told.standing !== 'unknown') return told;
  const { target } = told.sibling;
  const before = compared.find((each) => each.target.name === target.name);
  return before?.standing.kind === 'ahead' ? { ...told, standing: 'diverged' } : told;
}

/** The marks that its sentinel lacks, and the last one in any case: its answer says how far the standby has come. */
function missingMarks(sibling: Sibling, marks: readonly LeftTimeline[]): readonly LeftTimeline[] {
  const known = sibling.answer.kind === 'answered' ? sibling.answer.sentinel.left : [];
  return marks.filter((mark, index) => index === marks.length - 1 || withLeft(known, mark) !== known);
}

function whyNotAsked({ answer }: Sibling): string {
  switch (answer.kind) {
    case 'foreign':
      return `its archive belongs to cluster ${answer.systemIdentifier}`;
    case 'self':
      return 'it is this host';
    case 'answered':
      return '';
    case 'silent':
    case 'no-archive':
    case 'mute':
      return answer.reason;
  }
}

async function tell(
  deps: StandbyDeps,
  archiver: ArchiverSettings,
  sibling: Sibling,
  marks: readonly LeftTimeline[],
): Promise<Told> {
  const { target, answer } = sibling;
  if (answer.kind !== 'answered') return { kind: 'not-told', sibling, reason: whyNotAsked(sibling) };
  const cluster = answer.sentinel.systemIdentifier;
  const limitMs = deps.settings.failover_probe_timeout * 1000;
  const endMs = deps.monotonicMs() + limitMs;
  const used = await withSibling(deps, archiver, target, limitMs, async (shell): Promise<Told> => {
    let told: Told = { kind: 'not-told', sibling, reason: 'there is nothing to tell' };
    let files = 0;
    for (const mark of missingMarks(sibling, marks)) {
      const args = { timeline: mark.timeline, lsn: mark.lsn, host: mark.by, cluster };
      const leftMs = Math.max(1, endMs - deps.monotonicMs());
      const result = await callVerb(shell, answer.command, 'mark-left', args, leftMs);
      if (result.kind !== 'answered') return { kind: 'not-told', sibling, reason: result.reason };
      deps.log.debug(`${target.name}: timeline ${formatLeft(mark)}: ${JSON.stringify(result.answer)}`);
      const { standing, moved } = result.answer;
      files += moved.length;
      told = { kind: 'told', sibling, standing, moved: files };
    }
    return told;
  });
  return used.kind === 'used' ? used.value : { kind: 'not-told', sibling, reason: used.reason };
}

/**
 * Tells each standby that answered which timelines were left, all at once. Nothing here fails: one that was not told
 * learns it from the next hello of this host's cmd_archiver.
 *
 * @param marks oldest first: the last one is that of this promotion
 */
export async function tellSiblings(
  deps: StandbyDeps,
  archiver: ArchiverSettings,
  siblings: readonly Sibling[],
  marks: readonly LeftTimeline[],
): Promise<readonly Told[]> {
  return Promise.all(
    siblings.map((sibling) =>
      tell(deps, archiver, sibling, marks).catch((error: unknown): Told => ({
        kind: 'not-told',
        sibling,
        reason: quoted(messageOf(error)),
      })),
    ),
  );
}
