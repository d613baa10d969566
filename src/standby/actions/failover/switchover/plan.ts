import { refusal } from '../../../../errors.ts';
import { refuseOn, when } from '../../../steps/objections.ts';
import { afterSteps, planFailover } from '../plan.ts';
import type { BeforeFacts, SwitchoverFacts } from './facts.ts';
import { isStoppedForUs, listSwitchoverObjections, wantedSlots } from './objections.ts';
import type { SwitchoverStep } from './steps.ts';

/** The other hosts turn to this one. */
function turnSteps({ failover: { siblings } }: SwitchoverFacts): readonly SwitchoverStep[] {
  return [
    { kind: 'become-standby' },
    ...when(siblings.siblings.length > 0, { kind: 'follow-siblings' as const, siblings }),
    { kind: 'finish-switchover' },
  ];
}

/** Before the primary is stopped: all that takes long, and all that may fail. */
function preparingSteps(facts: SwitchoverFacts, before: BeforeFacts): readonly SwitchoverStep[] {
  if (isStoppedForUs(before)) return [];
  const { primary, part } = before;
  const { timeline } = primary;
  const { graceS } = facts;
  return [
    { kind: 'prepare-primary', timeline },
    { kind: 'init-archiver', iniFile: part.iniFile },
    { kind: 'drain' },
    { kind: 'restartpoint', timeline },
    ...when(graceS > 0, { kind: 'await-transactions' as const, graceS }),
  ];
}

function openingSteps(facts: SwitchoverFacts, before: BeforeFacts): readonly SwitchoverStep[] {
  const { peer, failover, streams } = facts;
  const ending = { host: peer.host, timeline: before.primary.timeline };
  const slots = wantedSlots(facts, before);
  return [
    ...when(slots.length > 0, {
      kind: 'make-slots' as const,
      names: slots,
      conf: failover.failoverConf?.configuration,
    }),
    { kind: 'record-switchover', ...ending },
    { kind: 'stop-primary', ...ending },
    // Another server may have taken the role since an earlier run stopped the primary, and this host may have followed it.
    ...when(isStoppedForUs(before), { kind: 'restartpoint' as const, timeline: ending.timeline }),
    { kind: 'bring-wal', streams },
    { kind: 'see-end-replayed' },
    { kind: 'record-end', ...ending },
    { kind: 'see-role-free', timeline: ending.timeline, siblings: failover.siblings, force: failover.force },
    { kind: 'lift-guard' },
    { kind: 'see-primary-stopped', ...ending },
    { kind: 'promote' },
    { kind: 'see-it-open', target: undefined },
    { kind: 'see-fork' },
    ...afterSteps(failover, { kind: 'taken' }),
    { kind: 'keep-streamed', redoLsn: failover.directory.control?.redoLsn },
  ];
}

function isFailoverFinished({ failover: { directory, state } }: SwitchoverFacts): boolean {
  const { promotedAtTimeline, isFailoverUnfinished, isActionBegun } = directory.record;
  const isOpen = promotedAtTimeline !== undefined && state.kind === 'production';
  return isOpen && isFailoverUnfinished !== true && isActionBegun !== true;
}

/** The steps of a switchover, or of what is left of one. Throws a refusal if an objection is not overruled. */
export function planSwitchover(facts: SwitchoverFacts): readonly SwitchoverStep[] {
  const { before, failover } = facts;
  if (before === undefined && facts.begun === undefined)
    throw refusal(
      `the server in "${failover.directory.pgdata}" is no standby any more; nothing was changed`,
      {
        hint: '--switchover runs on the standby that is to become the primary.',
      },
    );
  if (before === undefined)
    return isFailoverFinished(facts) ? turnSteps(facts) : [...planFailover(failover), ...turnSteps(facts)];
  refuseOn(listSwitchoverObjections(facts), failover.force);
  return [...preparingSteps(facts, before), ...openingSteps(facts, before), ...turnSteps(facts)];
}
