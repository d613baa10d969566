/** A switchover that another standby has begun: it is finished there, and not by a failover here. Pure. */
import { quoted } from '../../../system/printable.ts';
import { describeStop } from '../../primary/liveness/verdict.ts';
import { type Objection, when } from '../../steps/objections.ts';
import type { FailoverFacts } from './facts.ts';
import { siblingName } from './sibling-words.ts';

const named = {
  name: 'switchover-begun',
  cost: 'the switchover cannot be finished any more, and the old primary may need a new base backup',
} as const;

function primaryObjections({ liveness }: Pick<FailoverFacts, 'liveness'>): readonly Objection[] {
  if (liveness.kind !== 'dead' || liveness.stoppedFor === undefined) return [];
  const { stoppedFor } = liveness;
  const host = quoted(stoppedFor.host, 80);
  return [
    {
      ...named,
      message: `the primary was stopped ${describeStop(stoppedFor)}`,
      hint: `Run --switchover on ${host}: it finishes what it began, and loses nothing.`,
    },
  ];
}

/** The primary itself says best whether a switchover has stopped it. Where it cannot be seen, the other standbys know it. */
export function switchoverObjections(
  facts: Pick<FailoverFacts, 'liveness'> & { readonly siblings: Pick<FailoverFacts['siblings'], 'siblings'> },
): readonly Objection[] {
  const { liveness } = facts;
  const there = primaryObjections(facts);
  if (liveness.kind === 'dead' && liveness.hasLooked === true) return there;
  const begun = facts.siblings.siblings.flatMap(({ target, answer }): readonly Objection[] => {
    if (answer.kind !== 'answered') return [];
    const { server, switchover, promotedTo } = answer.said;
    // One that was promoted by it is judged as a rival, unless this host has followed that promotion.
    const isBegun = switchover !== undefined && server !== 'production' && promotedTo === undefined;
    return when(isBegun, {
      ...named,
      message: `standby ${siblingName({ target })} has begun a switchover with ${quoted(switchover ?? '', 80)}, which is not finished`,
      hint: `Run --switchover on ${target.name}: it finishes what it began, and loses nothing.`,
    });
  });
  return [...there, ...begun];
}
