/** The messages of a failover about the other standbys. Pure, but for the log. */
import { unreachable } from '../../../errors.ts';
import { formatLsn } from '../../../postgres/lsn.ts';
import type { Log } from '../../../system/log.ts';
import { quoted } from '../../../system/printable.ts';
import type { Sibling } from '../../siblings/ask.ts';
import type { Compared } from '../../siblings/compare.ts';
import type { Informed } from '../../siblings/inform.ts';
import type { SiblingFacts } from '../../siblings/observe.ts';
import type { Objection } from '../../steps/objections.ts';
import type { LeftResult, Role } from './role.ts';

export function siblingName({ target: { name, host } }: Pick<Compared, 'target'>): string {
  return host === name ? name : `${name} (host ${host})`;
}

function bytesWords(bytes: bigint): string {
  return `${bytes} ${bytes === 1n ? 'byte' : 'bytes'} of WAL`;
}

/** Another standby whose WAL cannot be brought here would lose less. */
export function siblingObjections({
  comparison: { compared, reach },
}: Pick<SiblingFacts, 'comparison'>): readonly Objection[] {
  const named = { name: 'sibling-ahead' } as const;
  return compared.flatMap((each): readonly Objection[] => {
    const { standing } = each;
    if (standing.kind === 'ahead') {
      return [
        {
          ...named,
          message: `standby ${siblingName(each)} has come further: it has WAL up to LSN ${formatLsn(standing.lsn)}, and this host can replay to ${formatLsn(reach ?? 0n)}`,
          hint: `-F999 on ${each.target.name} loses less.`,
          cost: `${bytesWords(standing.bytes)} that only ${each.target.name} has are lost`,
        },
      ];
    }
    return [];
  });
}

/** The same for those that were silent when the WAL of the others was fetched. */
export function returnedObjections({ comparison }: Pick<SiblingFacts, 'comparison'>): readonly Objection[] {
  const names = [...new Set(comparison.fetches.map(({ from }) => from.name))];
  const lacking = names.map((name): Objection => {
    const count = comparison.fetches.filter(({ from }) => from.name === name).length;
    return {
      name: 'sibling-ahead',
      message: `standby ${name} did not answer at first, and has WAL that this host lacks: ${count} ${count === 1 ? 'segment' : 'segments'}`,
      hint: 'The next -F999 fetches that WAL.',
      cost: `the WAL that only ${name} has is lost`,
    };
  });
  return [...lacking, ...siblingObjections({ comparison })];
}

function sayAnswer({ log }: { readonly log: Log }, sibling: Sibling): void {
  const { answer, isPrimaryHost } = sibling;
  const name = siblingName(sibling);
  switch (answer.kind) {
    case 'silent':
      if (isPrimaryHost === true) return;
      log.warning(
        `standby ${name} did not answer (${quoted(answer.reason)}): how far it has come is unknown`,
      );
      return;
    case 'foreign':
      log.warning(
        `${name} is no standby of this cluster: its archive belongs to cluster ${answer.systemIdentifier}`,
      );
      return;
    case 'no-archive':
    case 'mute':
      log.warning(`standby ${name} could not be asked: ${quoted(answer.reason)}. ${answer.hint}`);
      return;
    case 'self':
    case 'answered':
      return;
    default:
      unreachable(answer);
  }
}

function sayStanding({ log }: { readonly log: Log }, compared: Compared): void {
  const { standing } = compared;
  const name = siblingName(compared);
  switch (standing.kind) {
    case 'former-primary':
      log.notice(
        `${name} is a former primary: this host has followed its promotion to timeline ${standing.timeline}`,
      );
      return;
    case 'other-timeline':
      log.warning(
        `standby ${name} is on timeline ${standing.timeline}, which is not in the history of this host: it needs a new base backup`,
      );
      return;
    case 'rival':
      return;
    case 'not-ahead':
      log.notice(`standby ${name} has no WAL that is neither here nor fetched`);
      return;
    case 'ahead':
      return;
    default:
      unreachable(standing);
  }
}

/** The answers, before anything changes. An objection says what it says itself. */
export function saySiblings(deps: { readonly log: Log }, { list, siblings, comparison }: SiblingFacts): void {
  if (list?.kind === 'unknown')
    deps.log.notice(`no other standby is asked or informed: ${list.reason}. ${list.hint}`);
  for (const sibling of siblings) sayAnswer(deps, sibling);
  for (const compared of comparison.compared) sayStanding(deps, compared);
}

/** Describes what may be lost by a promotion here; for the plan and for the report. */
export function describeLoss({ siblings, comparison }: SiblingFacts): readonly string[] {
  const { reach, compared } = comparison;
  if (reach === undefined) return [];
  const here = formatLsn(reach);
  const ahead = compared.flatMap((each) =>
    each.standing.kind === 'ahead'
      ? [
          `Lost: ${bytesWords(each.standing.bytes)} after LSN ${here}, which standby ${siblingName(each)} has, up to LSN ${formatLsn(each.standing.lsn)}`,
        ]
      : [],
  );
  const silent = siblings
    .filter(({ answer, isPrimaryHost }) => answer.kind !== 'answered' && isPrimaryHost !== true)
    .map(({ target }) => target.name);
  const unknown = silent.length === 0 ? '' : `. Not asked, and perhaps further: ${silent.join(', ')}`;
  return [
    ...ahead,
    `May be lost: WAL that the old primary wrote after LSN ${here}; how much that is, is not known here${unknown}`,
  ];
}

/** @param problem why this host's cmd_archiver will not inform it either */
export function notInformedWords(
  { sibling, reason }: Extract<Informed, { kind: 'not-informed' }>,
  problem: string | undefined,
): string {
  const later =
    problem === undefined
      ? "the next hello of this host's cmd_archiver informs it"
      : 'keep the old primary from delivering there, or make a new base backup of it';
  return `standby ${siblingName(sibling)} was not informed that the old timeline was left (${quoted(reason)}): ${later}`;
}

/** Returns the INI file with which cmd_standby is to be called there; its sentinel does not always know. */
function iniOf({ answer }: Sibling): string {
  return (answer.kind === 'answered' ? answer.command.iniFile : undefined) ?? 'FILE';
}

const standingWords = {
  before: 'it has not replayed past the fork',
  diverged: 'it has replayed WAL past the fork, and cannot follow',
  followed: 'it is on the new timeline already',
  unknown: 'whether it has replayed past the fork is not determined',
} as const;

function nextFor(informed: Informed, hostName: string): string {
  const { sibling } = informed;
  const { name } = sibling.target;
  const ini = iniOf(sibling);
  if (informed.kind === 'informed' && informed.standing === 'diverged')
    return `on ${name}: set master_public_ip to this host (${hostName}), then run cmd_standby -C ${ini} -A stop, -B and -S`;
  const start = `on ${name}: cmd_standby -C ${ini} --follow ${hostName}`;
  if (informed.kind === 'informed' && informed.standing !== 'unknown') return start;
  return `${start}; if it has replayed past the fork, that refuses, and it needs a new base backup`;
}

function describeInformed(informed: Informed, problem: string | undefined): string {
  if (informed.kind === 'not-informed') {
    const words = notInformedWords(informed, problem);
    return words.charAt(0).toUpperCase() + words.slice(1);
  }
  const moved =
    informed.moved === 0 ? '' : `; ${informed.moved} files from behind the fork were moved aside there`;
  return `Standby ${siblingName(informed.sibling)} was informed: ${standingWords[informed.standing]}${moved}`;
}

/** The consequences of the failover for the other standbys. */
export interface RoleOutcome {
  readonly role: Role;
  readonly left: LeftResult | undefined;
  readonly informed: readonly Informed[] | undefined;
}

export function describeRole({ role, left, informed = [] }: RoleOutcome): readonly string[] {
  if (role.kind === 'left') {
    return [
      `This server has not taken the old primary's role, because ${role.reason}: no other standby was informed, and they still accept WAL of the old timeline (--take-role informs them)`,
    ];
  }
  const fork = left?.marks.at(-1);
  const taken =
    fork === undefined
      ? "This server has taken the old primary's role, but the old timeline could not be declared left"
      : `This server has taken the old primary's role: timeline ${fork.timeline} was left at LSN ${formatLsn(fork.lsn)}`;
  return [taken, ...informed.map((each) => describeInformed(each, left?.problem))];
}

/**
 * The next command for each of the other standbys that is known; none if no one is. The old primary, where this host is to
 * feed it, needs another one.
 */
export function nextForSiblings({ informed = [] }: RoleOutcome, hostName: string): readonly string[] {
  return informed
    .filter(({ sibling }) => sibling.isPrimaryHost !== true)
    .map((each) => nextFor(each, hostName));
}
