import type { ArchiverSettings } from '../../config/options-archiver.ts';
import { messageOf } from '../../errors.ts';
import { formatLeft, type LeftTimeline, withLeft } from '../../postgres/left-timeline.ts';
import { quoted } from '../../system/printable.ts';
import { callVerb } from '../../verbs/call.ts';
import type { AnswerOf } from '../../verbs/verbs.ts';
import type { StandbyDeps } from '../deps.ts';
import { type Sibling, withSibling } from './ask.ts';
import type { Comparison } from './compare.ts';

export type Informed =
  /** `standing`: whether it has replayed past the fork of the timeline that was left last. */
  | {
      readonly kind: 'informed';
      readonly sibling: Sibling;
      readonly standing: AnswerOf<'mark-left'>['standing'];
      /** Files that were moved aside there. */
      readonly moved: number;
    }
  | { readonly kind: 'not-informed'; readonly sibling: Sibling; readonly reason: string };

/**
 * A standby cannot say of which timeline the WAL is that it has replayed. One that had more than this host before the
 * promotion has more of the old timeline: the new one did not exist then.
 */
export function withKnown(informed: Informed, { compared }: Comparison): Informed {
  if (informed.kind !== 'informed' || informed.standing !== 'unknown') return informed;
  const { target } = informed.sibling;
  const before = compared.find((each) => each.target.name === target.name);
  return before?.standing.kind === 'ahead' ? { ...informed, standing: 'diverged' } : informed;
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

async function inform(
  deps: StandbyDeps,
  archiver: ArchiverSettings,
  sibling: Sibling,
  marks: readonly LeftTimeline[],
): Promise<Informed> {
  const { target, answer } = sibling;
  if (answer.kind !== 'answered') return { kind: 'not-informed', sibling, reason: whyNotAsked(sibling) };
  const cluster = answer.sentinel.systemIdentifier;
  const limitMs = deps.settings.failover_probe_timeout * 1000;
  const endMs = deps.monotonicMs() + limitMs;
  const used = await withSibling(deps, archiver, target, limitMs, async (shell): Promise<Informed> => {
    let informed: Informed = { kind: 'not-informed', sibling, reason: 'there is nothing to report' };
    let files = 0;
    for (const mark of missingMarks(sibling, marks)) {
      const args = { timeline: mark.timeline, lsn: mark.lsn, host: mark.by, cluster };
      const leftMs = Math.max(1, endMs - deps.monotonicMs());
      const result = await callVerb(shell, answer.command, 'mark-left', args, leftMs);
      if (result.kind !== 'answered') return { kind: 'not-informed', sibling, reason: result.reason };
      deps.log.debug(`${target.name}: timeline ${formatLeft(mark)}: ${JSON.stringify(result.answer)}`);
      const { standing, moved } = result.answer;
      files += moved.length;
      informed = { kind: 'informed', sibling, standing, moved: files };
    }
    return informed;
  });
  return used.kind === 'used' ? used.value : { kind: 'not-informed', sibling, reason: used.reason };
}

/**
 * Informs each standby that answered which timelines were left, all at once. Nothing here fails: one that was not
 * informed learns it from the next hello of this host's cmd_archiver.
 *
 * @param marks oldest first: the last one is that of this promotion
 */
export async function informSiblings(
  deps: StandbyDeps,
  archiver: ArchiverSettings,
  siblings: readonly Sibling[],
  marks: readonly LeftTimeline[],
): Promise<readonly Informed[]> {
  return Promise.all(
    siblings.map((sibling) =>
      inform(deps, archiver, sibling, marks).catch((error: unknown): Informed => ({
        kind: 'not-informed',
        sibling,
        reason: quoted(messageOf(error)),
      })),
    ),
  );
}
