import { durationText } from '../../../amounts.ts';
import { exitCodes } from '../../../errors.ts';
import { formatLsn } from '../../../postgres/lsn.ts';
import { formatUtc } from '../../../postgres/timestamp.ts';
import { type NotedCourse, notePromotion } from '../../host/history.ts';
import { publicName } from '../../peers/peer.ts';
import type { Liveness } from '../../primary/liveness/verdict.ts';
import { phasesText, rtoOf } from '../../recovery/phases.ts';
import { type SiblingFacts, withAnswers } from '../../siblings/observe.ts';
import { beginningOf } from './all-replayed.ts';
import type { FailoverFacts } from './facts.ts';
import type { Role } from './role.ts';
import type { FailoverRun } from './run.ts';
import { describeLoss, describeRole, nextForSiblings, type RoleOutcome } from './sibling-words.ts';

/** Whether the server has replayed everything that the archive contained before the promotion. */
export type ArchiveEnd =
  | { readonly kind: 'reached'; readonly last: string }
  /** The standby had replayed all of it before. */
  | { readonly kind: 'reached-before' }
  | { readonly kind: 'missed'; readonly reason: string };

/** Where the promoted server archives its own WAL. */
export type Archiving =
  | { readonly kind: 'nothing' }
  /** `ini` is cmd_archiver's INI file, if archive_command runs cmd_archiver. */
  | { readonly kind: 'command'; readonly ini: string | undefined }
  | { readonly kind: 'unknown'; readonly reason: string };

/** The result of a failover; undefined means that a fact could not be determined. */
export interface Outcome extends Pick<
  FailoverRun,
  'timeline' | 'replayed' | 'archiveEnd' | 'archiving' | 'phases'
> {
  /** The start of the new timeline, according to its history file. */
  readonly openedAt: string | undefined;
  readonly liveness: Liveness;
  /** action_fence has succeeded. */
  readonly isFenced: boolean;
  /** Undefined if an earlier run did all that concerns the other standbys. */
  readonly others: { readonly siblings: SiblingFacts; readonly role: RoleOutcome } | undefined;
  readonly hostName: string;
}

const notDetermined = 'not determined';

function describeEnd(end: ArchiveEnd | undefined): string {
  if (end === undefined) return `Whether all WAL in the archive was replayed is ${notDetermined}`;
  switch (end.kind) {
    case 'reached':
      return `All WAL in the archive was replayed, to segment ${end.last}`;
    case 'reached-before':
      return 'All WAL in the archive had been replayed before';
    case 'missed':
      return `Not all WAL in the archive was replayed: ${end.reason}`;
  }
}

function describeOldPrimary({ liveness, isFenced }: Pick<Outcome, 'liveness' | 'isFenced'>): string {
  if (isFenced) {
    const before = liveness.kind === 'alive' ? 'alive' : liveness.kind === 'dead' ? 'found dead' : 'not seen';
    return `The old primary was ${before}, and action_fence has succeeded. It may hold WAL that was never shipped: transactions in that WAL are missing here`;
  }
  switch (liveness.kind) {
    case 'dead': {
      const files = liveness.unsent ?? 0;
      const waiting = files === 0 ? '' : ` (${files} ${files === 1 ? 'file waits' : 'files wait'} there)`;
      return `The old primary was found dead. It may hold WAL that was never shipped${waiting}: transactions in that WAL are missing here`;
    }
    case 'alive':
      return 'The old primary was alive: what it has committed since, and still commits, is not here';
    case 'unreachable':
    case 'unasked':
      return 'The old primary was not seen: whether it takes writes, and which WAL it never shipped, is not determined';
  }
}

function describeReplayed({ openedAt, replayed }: Outcome): string {
  const lsn = replayed?.lsn === undefined ? openedAt : `LSN ${formatLsn(replayed.lsn)}`;
  const commit = replayed?.time === undefined ? notDetermined : formatUtc(replayed.time);
  return `Replayed to ${lsn ?? `a place that is ${notDetermined}`}; time of the last commit: ${commit}`;
}

/** Undefined if an earlier run has promoted the server. */
function ownRto({ phases }: Pick<Outcome, 'phases'>): number | undefined {
  return phases.some(({ name }) => name === 'promotion') ? rtoOf(phases) : undefined;
}

function describeTimes({ phases }: Pick<Outcome, 'phases'>): readonly string[] {
  const rto = ownRto({ phases });
  return [
    ...(rto === undefined ? [] : [`RTO: ${durationText(rto)}, counted as in a drill`]),
    `Phases: ${phasesText(phases)}`,
  ];
}

function archivingStep(archiving: Archiving | undefined): string {
  switch (archiving?.kind) {
    case 'nothing':
      return "archiving: this server archives nothing. Set archive_mode = on and archive_command = 'cmd_archiver -C FILE -F %p', name its standbys in FILE, restart it, and run: cmd_archiver -C FILE -I";
    case 'command':
      return archiving.ini === undefined
        ? 'archiving: this server archives by another program than cmd_archiver; check that it ships WAL to the standbys of this server'
        : `archiving: name the standbys of this server in ${archiving.ini}, then run: cmd_archiver -C ${archiving.ini} -I`;
    case 'unknown':
    case undefined:
      return `archiving: whether this server archives its WAL is ${notDetermined}; look at archive_mode and archive_command`;
  }
}

/** The operator's next tasks, in the best order. */
function nextSteps({ archiving, hostName, timeline, others }: Outcome): readonly string[] {
  const name = timeline === undefined ? 'the new timeline' : `timeline ${timeline}`;
  const each = others === undefined ? [] : nextForSiblings(others.role, hostName);
  const generally = `other standbys: on each, cmd_standby -C FILE --follow ${hostName}. One that has replayed beyond the beginning of ${name}, or lacks WAL of it, needs a new base backup: -B`;
  return [
    `old primary: keep it stopped. To make it a standby: on its host cmd_standby -C FILE --rejoin ${hostName} (doc/rejoin.md)`,
    archivingStep(archiving),
    ...(each.length === 0 ? [generally] : each),
    'a base backup of this server: cmd_standby -C FILE -B on a standby; base backups of the old primary end at the old timeline',
    'statistics: vacuumdb --all --analyze-only',
  ];
}

/** The lines that describe the state of this server and the next tasks. */
export function describeOutcome(outcome: Outcome): readonly string[] {
  const { timeline, openedAt, others } = outcome;
  const begun = openedAt === undefined ? '' : `, which begins at ${openedAt}`;
  return [
    `This server is the primary now, on timeline ${timeline ?? `(${notDetermined})`}${begun}`,
    describeReplayed(outcome),
    describeEnd(outcome.archiveEnd),
    describeOldPrimary(outcome),
    ...(others === undefined ? [] : [...describeLoss(others.siblings), ...describeRole(others.role)]),
    ...describeTimes(outcome),
    'Next:',
    ...nextSteps(outcome).map((step) => `  - ${step}`),
  ];
}

/** The same that a drill notes. */
function courseOf({ phases, replayed }: Pick<FailoverRun, 'phases' | 'replayed'>): NotedCourse {
  const rtoSeconds = ownRto({ phases });
  return {
    phases,
    ...(rtoSeconds === undefined ? {} : { rtoSeconds }),
    ...(replayed?.lsn === undefined ? {} : { replayedTo: formatLsn(replayed.lsn) }),
    ...(replayed?.time === undefined ? {} : { lastCommit: formatUtc(replayed.time) }),
  };
}

/**
 * Reports the state of this server, the data that may be missing, and the next tasks. Returns the exit code.
 *
 * @param role undefined if an earlier run has informed the other standbys
 */
export async function reportFailover(
  run: FailoverRun,
  { liveness, siblings, fence }: Pick<FailoverFacts, 'liveness' | 'siblings' | 'fence'>,
  role: Role | undefined,
  by: 'failover' | 'recovery' = 'failover',
): Promise<number> {
  const { server, timeline, actionFailure } = run;
  const { deps } = server;
  const openedAt = timeline === undefined ? undefined : await beginningOf(server, timeline);
  const { left, informed } = run;
  const answers = { ...siblings, siblings: withAnswers(siblings.siblings, run.returned) };
  const others = role === undefined ? undefined : { siblings: answers, role: { role, left, informed } };
  await notePromotion(deps, by, deps.settings.master_public_ip, timeline, courseOf(run));
  const isFenced = run.isFenced ?? fence.kind === 'done';
  const outcome = { ...run, openedAt, liveness, isFenced, others, hostName: publicName(deps) };
  for (const line of describeOutcome(outcome)) deps.report(line);
  deps.log.notice('Statistics are not replicated in warm standy mode.');
  deps.report('HINT: Execute ANALYZE on your databases');
  deps.report('Failover finished');
  if (actionFailure === undefined) return 0;
  deps.log.error(`the failover has happened, but action_failover failed: ${actionFailure}`, {
    hint: 'Correct its problem, then run -F999 again: it runs only the script, with PITRTOOLS_REPEATED=yes.',
  });
  return exitCodes.actionFailed;
}
