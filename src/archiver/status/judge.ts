/** The findings in the facts of cmd_archiver --status. Pure. */
import { durationText, sizeText } from '../../amounts.ts';
import { judgeOffset } from '../../status/clocks.ts';
import { judgeDisks } from '../../status/disks.ts';
import { type Fact, valueOf } from '../../status/fact.ts';
import { type Finding, unknownFinding } from '../../status/finding.ts';
import { judgeDisk, levelBehind, type StatusLimits } from '../../status/limits.ts';
import { gapSentence, sentenceOf } from '../lane/modes.ts';
import { type Health, severities } from '../lane/state.ts';
import type { ArchiverFacts, StandbyFacts } from './facts.ts';
import type { LiveFacts } from './live.ts';

const readAsOwner = 'Run it as the user who owns pgdata.';
const readQueues = 'Check the file system of l_archivedir, and the owner of what is in it.';

export interface JudgeContext {
  readonly limits: StatusLimits;
  /** `cmd_archiver -C FILE`, to be typed. */
  readonly command: string;
  readonly pgdata: string;
}

function judgeServer({ isRunning, cluster }: ArchiverFacts, { pgdata }: JudgeContext): Finding[] {
  if (valueOf(isRunning) !== false)
    return unknownFinding('server', 'whether PostgreSQL runs', isRunning, readAsOwner);
  // A cold standby is stopped on purpose.
  if (valueOf(cluster)?.isCold === true) return [];
  if (valueOf(cluster)?.isInRecovery === true)
    return [
      {
        name: 'server',
        level: 'warning',
        message: `the standby on ${pgdata} does not run`,
        hint: 'Start it: cmd_standby -C FILE -S.',
      },
    ];
  return [
    {
      name: 'server',
      level: 'critical',
      message: `PostgreSQL does not run on ${pgdata}`,
      hint: 'If it was stopped on purpose, start it. If another host has taken its role: cmd_standby -C FILE --rejoin.',
    },
  ];
}

function judgeArchiving({ archiving, isRunning }: ArchiverFacts, { command }: JudgeContext): Finding[] {
  if (valueOf(isRunning) === false) return [];
  if (archiving.kind === 'unknown')
    return unknownFinding(
      'archiving',
      'whether PostgreSQL archives by this program',
      archiving,
      'Check that this user can log in to the server here: keys port, dbname and psql, and its pg_hba.conf.',
    );
  const { verdict } = archiving.value;
  if (verdict.kind === 'call') return [];
  return [
    {
      name: 'archiving',
      level: verdict.kind === 'wrong' ? 'critical' : 'unknown',
      message: verdict.reason,
      hint: `In postgresql.conf: archive_mode = on, archive_command = '${command} -F %p'`,
    },
  ];
}

function judgeConfiguration({ state, isInitialized }: ArchiverFacts, { command }: JudgeContext): Finding[] {
  const findings = unknownFinding(
    'initialized',
    'whether l_archivedir is initialized',
    isInitialized,
    readQueues,
  );
  if (valueOf(isInitialized) === false)
    findings.push({
      name: 'initialized',
      level: 'critical',
      message: 'l_archivedir is not initialized, or its file system is not mounted',
      hint: `Run ${command} -I once.`,
    });
  if (state === 'offline')
    findings.push({
      name: 'offline',
      level: 'critical',
      message: 'state is offline in the INI file: nothing is archived, and pg_wal grows',
      hint: 'Set state: online.',
    });
  return findings;
}

function judgeWaiting(facts: ArchiverFacts, { limits }: JudgeContext): Finding[] {
  const { waiting, archiving } = facts;
  if (waiting.kind === 'unknown')
    return unknownFinding('waiting', 'how much WAL PostgreSQL has still to archive', waiting, readAsOwner);
  const { files, bytes, oldest } = waiting.value;
  const level = levelBehind(limits, bytes, oldest?.ageS);
  if (level === 'ok' || oldest === undefined) return [];
  const failure = valueOf(archiving)?.statistics;
  const last =
    failure?.lastFailed === undefined || failure.lastFailed === ''
      ? ''
      : `; the last failure was ${failure.lastFailed} at ${failure.failedAt}`;
  return [
    {
      name: 'waiting',
      level,
      message: `${files} WAL files (${sizeText(bytes)}) wait in pg_wal to be archived, ${oldest.name} for ${durationText(oldest.ageS)}${last}`,
      hint: "PostgreSQL's log says why archive_command fails.",
    },
  ];
}

function judgeShipper(facts: ArchiverFacts, { command }: JudgeContext): Finding[] {
  const { isShipping, archiving, isRunning, state } = facts;
  if (isShipping.kind === 'unknown')
    return unknownFinding('shipper', 'whether the shipper runs', isShipping, readQueues);
  const seen = valueOf(archiving);
  const archives = seen?.verdict.kind === 'call' && (seen.statistics?.archived ?? 0) > 0;
  if (isShipping.value || valueOf(isRunning) !== true || state === 'offline' || !archives) return [];
  return [
    {
      name: 'shipper',
      level: 'warning',
      message: 'no shipper runs: queued WAL is not sent until the next segment is archived',
      hint: `Run ${command} --ship as a service, or see shipper.log in l_archivedir/.archiver.`,
    },
  ];
}

const serverWords: Readonly<
  Record<LiveFacts['server'], Pick<Finding, 'level' | 'message' | 'hint'> | undefined>
> = {
  recovering: undefined,
  starting: { level: 'unknown', message: 'the server is still starting', hint: 'Look again in a moment.' },
  unknown: {
    level: 'unknown',
    message: 'nothing shows what the server does',
    hint: 'Run cmd_standby -C FILE --status there.',
  },
  down: {
    level: 'warning',
    message: 'the server does not run',
    hint: 'Start it there: cmd_standby -C FILE -S.',
  },
  'no-data': {
    level: 'warning',
    message: 'there is no base backup',
    hint: 'Make one there: cmd_standby -C FILE -B.',
  },
  production: {
    level: 'critical',
    message: 'the server takes writes itself',
    hint: 'If it was promoted to be the primary, stop this one, and rejoin it: cmd_standby -C FILE --rejoin.',
  },
};

export const healthHints: Readonly<Partial<Record<Health, (command: string, name: string) => string>>> = {
  unreachable: () => 'Check the host, its sshd and the key of the user who runs PostgreSQL.',
  'no-directory': () => 'Mount the file system of archivedir there, or run cmd_standby -C FILE -I there.',
  'no-space': () => 'Free space in archivedir there: cmd_standby -C FILE --cleanup.',
  'no-sentinel': () => 'Run cmd_standby -C FILE -I there, if this is the right directory.',
  unsafe: () => 'Free space in l_archivedir, or abandon the standby.',
  abandoned: (command, name) =>
    `Make a new base backup there (cmd_standby -B), or: ${command} --resume ${name}`,
  diverged: () => 'Make it a standby again: cmd_standby -C FILE -B, there.',
  left: () => 'This server is an old primary: stop it, then cmd_standby -C FILE --rejoin, here.',
};

export function judgeLane(
  { name, state }: Pick<StandbyFacts, 'name' | 'state'>,
  { command }: Pick<JudgeContext, 'command'>,
): Finding[] {
  if (state.kind === 'unknown')
    return unknownFinding('standby', `the state of standby ${name}`, state, readQueues);
  const { health, gap, since } = state.value;
  const findings: Finding[] = [];
  const severity = severities[health];
  const sinceMs = since === undefined ? NaN : Date.parse(since);
  if (severity !== 'ok' && health !== 'behind')
    findings.push({
      name: 'standby',
      about: name,
      level: severity,
      message: sentenceOf(name, state.value),
      sinceMs: Number.isNaN(sinceMs) ? undefined : sinceMs,
      hint:
        healthHints[health]?.(command, name) ??
        `${command} --flush sends what is queued and shows each error.`,
    });
  if (gap !== undefined)
    findings.push({
      name: 'gap',
      about: name,
      level: 'critical',
      message: gapSentence(name, gap),
      hint: 'If that standby does not stream what is missing, make a new base backup there: cmd_standby -C FILE -B.',
    });
  return findings;
}

function judgeQueue({ name, queue }: StandbyFacts, { limits }: JudgeContext): Finding[] {
  if (queue.kind === 'unknown')
    return unknownFinding('queue', `the queue of standby ${name}`, queue, readQueues);
  const { files, bytes, oldest } = queue.value;
  const level = levelBehind(limits, bytes, oldest?.ageS);
  if (level === 'ok' || oldest === undefined) return [];
  return [
    {
      name: 'queue',
      about: name,
      level,
      message: `${files} WAL files (${sizeText(bytes)}) are queued for standby ${name}, the oldest for ${durationText(oldest.ageS)}`,
      hint: 'They are sent as soon as the standby takes WAL again.',
    },
  ];
}

/** Nothing is known of a host that was not reached, and that is said once. */
function judgeClock({ name, live, clock }: StandbyFacts): Finding[] {
  if (clock.kind === 'unknown')
    return live.kind === 'seen' ? judgeOffset(name, `standby ${name}`, clock) : [];
  const { value, atMs } = clock;
  return value === undefined ? [] : judgeOffset(name, `standby ${name}`, { kind: 'seen', value, atMs });
}

function judgeLive({ name, live }: StandbyFacts, { limits }: JudgeContext): Finding[] {
  if (live.kind === 'unknown')
    return unknownFinding(
      'standby',
      `how far standby ${name} is`,
      live,
      'Check the host, its sshd, and cmd_standby there.',
    ).map((finding) => ({ ...finding, about: name }));
  const said = live.value;
  if (said === undefined) return [];
  const disk =
    said.disk === undefined
      ? []
      : judgeDisk(limits, { name: `archivedir of ${name}`, path: 'there' }, said.disk, undefined);
  const words = serverWords[said.server];
  if (words === undefined) return disk;
  const { level, message, hint } = words;
  return [{ name: 'standby', about: name, level, message: `${message} on standby ${name}`, hint }, ...disk];
}

function judgeStream(
  { name, stream, live }: StandbyFacts,
  written: Fact<bigint>,
  { limits, command }: JudgeContext,
): Finding[] {
  const receiver = valueOf(stream);
  const end = valueOf(written);
  if (receiver?.replayed === undefined || end === undefined) return [];
  const bytes = Math.max(0, Number(end - receiver.replayed));
  const delayS = valueOf(live)?.delayS;
  const { replayLagS } = receiver;
  // A delayed standby is behind on purpose. The server here does not know that: only the standby itself says it.
  const lateS = replayLagS === undefined ? undefined : replayLagS - (delayS ?? 0);
  if (delayS !== undefined && delayS > 0 && (lateS === undefined || lateS <= 0)) return [];
  const level = levelBehind(limits, bytes, lateS);
  if (level === 'ok') return [];
  const perhaps =
    delayS === undefined
      ? `, or be delayed on purpose (recovery_min_apply_delay), which ${command} --status --live asks it`
      : '';
  return [
    {
      name: 'replay',
      about: name,
      level,
      message: `standby ${name} streams, but has not replayed the last ${sizeText(bytes)} of WAL`,
      hint: `Look at the server there: its replay may be paused, or wait for a query${perhaps}.`,
    },
  ];
}

export function judgeArchiver(facts: ArchiverFacts, context: JudgeContext): readonly Finding[] {
  const { cluster, disks, standbys, written } = facts;
  const isStandby = valueOf(cluster)?.isInRecovery === true;
  return [
    ...unknownFinding('cluster', 'the cluster', cluster, 'Key pgdata: must name its data directory.'),
    ...judgeConfiguration(facts, context),
    ...judgeServer(facts, context),
    // A standby archives nothing, unless archive_mode is always.
    ...(isStandby ? [] : [...judgeArchiving(facts, context), ...judgeWaiting(facts, context)]),
    ...judgeShipper(facts, context),
    ...standbys.flatMap((standby) => [
      ...judgeLane(standby, context),
      ...judgeQueue(standby, context),
      ...judgeStream(standby, written, context),
      ...judgeLive(standby, context),
      ...judgeClock(standby),
    ]),
    ...judgeDisks(context.limits, disks),
  ];
}
