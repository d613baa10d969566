import { describeLeft, type LeftTimeline, withLeft } from '../../postgres/left-timeline.ts';
import { noStandbyObjections } from '../recovery/no-standby.ts';
import {
  archiveObjections,
  keepingSteps,
  leftSlotSteps,
  preparingSteps,
  settingObjections,
  slotSteps,
} from '../recovery/standby-start.ts';
import { wasInRecovery } from '../server/data-directory.ts';
import { noSlot, ownSlotObjections } from '../slot/own-slot.ts';
import { noForce } from '../steps/force.ts';
import { type Objection, refuseOn, when } from '../steps/objections.ts';
import type { FollowFacts } from './facts.ts';
import type { HostFacts } from './host.ts';
import type { Address, IniFact } from './ini-file.ts';
import { markAgainst, marksOf, whyNotContained } from './lineage.ts';
import type { FollowStep } from './steps.ts';
import { describeLacking } from './wal-to-come.ts';

/** A primary that does not run, and has not been started as a standby since. */
export function isFormerPrimary({ start, state }: Pick<FollowFacts, 'start' | 'state'>): boolean {
  const { control, backupLabel } = start.directory;
  if (state.kind !== 'stopped' || backupLabel !== undefined || control === undefined) return false;
  return !wasInRecovery(control);
}

/** It was stopped for a switchover, and may have been started since: then it runs as a standby. */
function wasStoppedForSwitchover({ start }: Pick<FollowFacts, 'start'>): boolean {
  return start.directory.record.stoppedFor !== undefined;
}

/** Another primary than the one with which it began to change roles. */
function hasBegunSwitchover({ start }: Pick<FollowFacts, 'start'>): boolean {
  return start.directory.record.switchover !== undefined;
}

function silentObjection(facts: FollowFacts): readonly Objection[] {
  const { answer } = facts;
  if (answer.kind === 'host') return [];
  const { message, detail, hint } = answer.error;
  return [{ message, hint: [detail, hint].filter(Boolean).join('; ') }];
}

function hostObjections(facts: FollowFacts, there: HostFacts): readonly Objection[] {
  const { request, start } = facts;
  const { host } = request.address;
  const { expected } = request;
  const own = start.directory.control?.systemIdentifier;
  if (own !== undefined && own !== there.systemIdentifier) {
    return [
      {
        message: `${host} is a server of another cluster: its system identifier is ${there.systemIdentifier}, and ${own} here`,
        hint: 'Check the name and the port.',
      },
    ];
  }
  if (facts.answer.kind === 'host' && facts.answer.isSelf)
    return [{ message: `${host} is this very server`, hint: 'Name the one that it is to follow.' }];
  return [
    ...when(expected !== undefined && expected.cluster !== there.systemIdentifier, {
      message: `${host} is a server of cluster ${there.systemIdentifier}, not of ${expected?.cluster ?? ''}`,
    }),
    ...when(expected !== undefined && expected.timeline !== there.timeline, {
      message: `${host} is on timeline ${there.timeline}, not on ${expected?.timeline ?? 0}`,
    }),
    ...when(there.inRecovery && !start.streams, {
      message: `${host} is itself a standby, and sends no WAL to an archive`,
      hint: 'Follow the primary, or set use_streaming_replication: yes.',
    }),
    ...when(there.inRecovery && isFormerPrimary(facts), {
      message: `${host} is itself in recovery: it has not taken the role of this server`,
    }),
    ...ownSlotObjections(there.slot ?? noSlot, undefined, facts.state.kind === 'recovering'),
  ];
}

/** It must not be on a branch that was left. */
function branchObjections(facts: FollowFacts, there: HostFacts): readonly Objection[] {
  const { host } = facts.request.address;
  const { left } = facts.start.archive.sentinel;
  const against = markAgainst(left, there);
  if (against === undefined) return [];
  return [
    {
      message: `${host} is on a branch that was left: ${describeLeft(against)}`,
      hint: `If its branch is the right one: cmd_archiver -C FILE --timeline-restored ${against.timeline} on ${host}`,
    },
  ];
}

/** Its history must contain all that this host has. */
function historyObjections(facts: FollowFacts, there: HostFacts): readonly Objection[] {
  const { host } = facts.request.address;
  // A standby that is behind this one catches up by itself.
  const lsn = there.inRecovery && facts.own.lsn > there.lsn ? facts.own.lsn : there.lsn;
  const reason = whyNotContained(facts.own, { ...there, lsn });
  return when(reason !== undefined, {
    message: `this server cannot follow ${host}: ${reason ?? ''}`,
    hint: isFormerPrimary(facts)
      ? `Make it a standby by cmd_standby -C … --rejoin ${host}`
      : `Set master_public_ip: ${host} and make a new base backup: cmd_standby -C … -A stop and -B`,
  });
}

/** Else it would wait for that WAL without end. */
function walObjections({ walToCome, request, start }: FollowFacts): readonly Objection[] {
  const { host } = request.address;
  const reason = describeLacking(walToCome, host);
  return when(reason !== undefined, {
    message: `this server cannot follow ${host}: ${reason ?? ''}`,
    hint: `If a copy exists, bring it to "${start.archive.directory}". Else set master_public_ip: ${host} and make a new base backup: cmd_standby -C … -A stop and -B`,
  });
}

function reachObjections(facts: FollowFacts, there: HostFacts): readonly Objection[] {
  if (branchObjections(facts, there).length > 0) return [];
  const history = historyObjections(facts, there);
  return history.length > 0 ? history : walObjections(facts);
}

export function iniObjections(ini: IniFact, { host, port }: Address, iniFile: string): readonly Objection[] {
  if (ini.kind !== 'impossible') return [];
  return [
    {
      message: `cannot change "${iniFile}": ${ini.reason}`,
      hint: `Write master_public_ip: ${host} and port: ${port} there yourself, or let the file and its directory belong to the user who runs cmd_standby; then run this again.`,
    },
  ];
}

/** Objections to the state of the server here. */
export function ownObjections(facts: Pick<FollowFacts, 'start' | 'state' | 'request'>): readonly Objection[] {
  const { state, start, request } = facts;
  const { directory } = start;
  if (state.kind === 'production') {
    return [
      {
        message: `the server in "${directory.pgdata}" is in production`,
        hint: 'Only a standby can follow another server. Stop a former primary first; then: cmd_standby -C … --rejoin HOST',
      },
    ];
  }
  if (state.kind === 'starting')
    return [{ message: `the server in "${directory.pgdata}" is starting`, hint: 'Wait until it recovers.' }];
  if (state.kind === 'recovering') return wasStoppedForSwitchover(facts) ? [] : archiveObjections(start);
  const wasPrimary = isFormerPrimary(facts) || wasStoppedForSwitchover(facts);
  if (request.mayBePrimary && wasPrimary) return settingObjections(start);
  return [...noStandbyObjections(directory), ...archiveObjections(start), ...settingObjections(start)];
}

/**
 * @param mustContain whether the history of the other server must contain all WAL of this host: else something makes it
 * so first
 */
export function listFollowObjections(
  facts: FollowFacts,
  iniFile: string,
  mustContain = true,
): readonly Objection[] {
  const { answer } = facts;
  const there = answer.kind === 'host' ? answer.host.facts : undefined;
  const ofHost = there === undefined ? [] : hostObjections(facts, there);
  const isComparable = there !== undefined && ofHost.length === 0 && facts.state.kind !== 'production';
  return [
    ...ownObjections(facts),
    ...silentObjection(facts),
    ...ofHost,
    ...(isComparable ? branchObjections(facts, there) : []),
    ...(isComparable && mustContain ? reachObjections(facts, there) : []),
    ...iniObjections(facts.ini, facts.request.address, iniFile),
  ];
}

/** The marks of that history that the sentinel here lacks. */
export function missingMarks({ start, request }: FollowFacts, there: HostFacts): readonly LeftTimeline[] {
  const { left } = start.archive.sentinel;
  return marksOf(there, request.address.host).filter((mark) => withLeft(left, mark) !== left);
}

/** The steps. Throws a refusal that names all objections. */
export function planFollow(facts: FollowFacts, iniFile: string): readonly FollowStep[] {
  refuseOn(listFollowObjections(facts, iniFile), noForce);
  const { answer, start, state, ini, request, reloads, hasSlots } = facts;
  if (answer.kind === 'silent') throw answer.error;
  const marks = missingMarks(facts, answer.host.facts);
  const isRunning = state.kind === 'recovering';
  const { configuration, settings, streams } = start;
  // The new timeline's history must have come first.
  const isBlindToIt =
    isRunning && !streams && !facts.findsTimelines && facts.own.timeline < answer.host.facts.timeline;
  const wasPrimary = isFormerPrimary(facts) || wasStoppedForSwitchover(facts);
  return [
    ...when(marks.length > 0, { kind: 'mark-left', marks }),
    ...(ini.kind === 'editable' ? [{ kind: 'edit-ini', changes: ini.changes } as const] : []),
    ...slotSteps(answer.host.facts.slot ?? noSlot),
    ...when(wasPrimary && hasSlots, { kind: 'drop-slots-here' }),
    // Once the settings are there, anybody's start makes it a standby, which must not look like a promoted one.
    ...when(wasPrimary || hasBegunSwitchover(facts), { kind: 'forget-promotion' }),
    ...(isRunning ? [] : preparingSteps(start)),
    ...when(isRunning && streams, { kind: 'write-settings', settings, streams }),
    ...when(isRunning && streams && reloads, { kind: 'reload' }),
    ...when(isRunning && streams && !reloads, { kind: 'restart', configuration }),
    ...(isRunning ? [] : [{ kind: 'start-server', configuration } as const]),
    ...when(!isRunning || (streams && !reloads), { kind: 'see-it-recover' }),
    {
      kind: 'see-it-follow',
      host: request.address.host,
      streams,
      isDelayed: start.isDelayed,
      ...(isBlindToIt ? { restart: configuration } : {}),
    },
    ...leftSlotSteps(start),
    ...keepingSteps(start),
  ];
}
