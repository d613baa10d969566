/** All that keeps the old primary and the other standbys from following this host once it is the primary. Pure. */
import {
  findLowLimits,
  limitNames,
  type Limits,
  type LowLimit,
} from '../../../../postgres/standby-limits.ts';
import { quoted } from '../../../../system/printable.ts';
import { limitsAsPrimary } from '../../../server/limits.ts';
import { type Objection, when } from '../../../steps/objections.ts';
import type { BeforeFacts, SwitchoverFacts } from './facts.ts';
import type { Follower } from './followers.ts';

function problemObjections({ name, problems }: Follower, { publicName }: BeforeFacts): readonly Objection[] {
  return problems.map(({ message, hint }) => ({
    message: `${name} cannot follow this host: ${quoted(message)}`,
    hint: `${hint === undefined ? '' : `On ${name}: ${quoted(hint)} `}(public_ip: is the address that it uses: ${publicName})`,
  }));
}

function lowLimitsOf({ limits }: Follower, demanded: Limits): readonly LowLimit[] {
  const known = limitNames.flatMap((name) => {
    const value = limits[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return findLowLimits(demanded, new Map(known));
}

/** A hot standby ends, or pauses from 14 on, as soon as it replays that its primary has a higher value. */
function limitObjections(follower: Follower, demanded: Limits, isRestarted: boolean): readonly Objection[] {
  const { name } = follower;
  const low = lowLimitsOf(follower, demanded);
  const lines = low.map((each) => `${each.name} = ${each.demanded}`).join(', ');
  return when(low.length > 0, {
    message: `${name} cannot replay the WAL of this host: ${low.map((each) => `${each.name} is ${each.here} there, and ${each.demanded} here`).join('; ')}`,
    hint: `Set ${lines} in the configuration on ${name}${isRestarted ? ', which its next start reads: the switchover restarts it' : ', and restart its server'}.`,
  });
}

function slotObjections({ name, slot }: Follower, { slotsHere }: BeforeFacts): readonly Objection[] {
  const isThere = slotsHere.some((each) => each.name === slot && each.kind === 'physical');
  return when(slot !== undefined && !isThere, {
    message: `${name} would stream by replication slot "${slot ?? ''}" (its primary_slot_name), and there is none of that name here`,
    hint: `Make it here: SELECT pg_create_physical_replication_slot('${slot ?? ''}')`,
  });
}

function sendersObjections({ settings, oldPrimary, others }: BeforeFacts): readonly Objection[] {
  const senders = settings.get('max_wal_senders');
  const streaming = [...(oldPrimary === undefined ? [] : [oldPrimary]), ...others].filter(
    ({ streamsAs }) => streamsAs !== undefined,
  );
  return when(senders !== undefined && Number(senders) < streaming.length, {
    message: `max_wal_senders = ${senders ?? ''} is in force here after a promotion, and ${streaming.length} of the standbys will stream`,
    hint: `Set it to ${streaming.length + 5}, for example, and restart the server.`,
  });
}

export function followerObjections({ failover }: SwitchoverFacts, before: BeforeFacts): readonly Objection[] {
  const { oldPrimary, others, settings } = before;
  const demanded = limitsAsPrimary(settings, failover.lowLimits, failover.directory.capabilities);
  const objectionsTo = (follower: Follower, isRestarted: boolean) => [
    ...problemObjections(follower, before),
    ...limitObjections(follower, demanded, isRestarted),
    ...slotObjections(follower, before),
  ];
  const named = (follower: Follower) => ({
    name: 'sibling-unasked' as const,
    cost: `${follower.name} does not follow this host until --follow succeeds there`,
  });
  return [
    ...(oldPrimary === undefined ? [] : objectionsTo(oldPrimary, true)),
    ...others.flatMap((follower) =>
      objectionsTo(follower, false).map((objection) => ({ ...named(follower), ...objection })),
    ),
    ...sendersObjections(before),
  ];
}
