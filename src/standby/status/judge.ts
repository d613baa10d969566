/** The findings in the facts of cmd_standby --status. Pure. */
import { durationText, sizeText } from '../../amounts.ts';
import { describeLeft } from '../../postgres/left-timeline.ts';
import { judgeOffset } from '../../status/clocks.ts';
import { judgeDisks } from '../../status/disks.ts';
import { type Fact, valueOf } from '../../status/fact.ts';
import { type Finding, unknownFinding } from '../../status/finding.ts';
import { levelBehind, type StatusLimits } from '../../status/limits.ts';
import { missingSentence } from '../archive/missing.ts';
import { describeLowLimit } from '../server/limits.ts';
import { backupDrillTrouble, drillTrouble } from './drill.ts';
import type { Lag, StandbyFacts } from './facts.ts';
import { isStandby, type Mode, replays } from './mode.ts';
import type { OtherStandby, PrimaryFacts } from './others.ts';
import { onlySeen } from './server.ts';

const readAsOwner = 'Run it as the user who owns pgdata.';
const lookLonger = (command: string): string => `Look with more time: ${command} -F999 --dry-run`;

export interface JudgeContext {
  readonly limits: StatusLimits & {
    readonly backup_warning_age: number;
    readonly drill_max_age?: number | undefined;
  };
  /** `cmd_standby -C FILE`, to be typed. */
  readonly command: string;
  readonly pgdata: string;
  /** The INI file wants WAL to be streamed. */
  readonly wantsStream: boolean;
  /** `recovery_min_apply_delay` of the INI file in seconds, 0 for none; undefined if it is not understood. */
  readonly wantedDelayS: number | undefined;
}

function judgeMode({ mode }: StandbyFacts, { command, pgdata }: JudgeContext): Finding[] {
  if (mode.kind === 'unknown') return unknownFinding('server', 'what runs here', mode, readAsOwner);
  switch (mode.value) {
    case 'no data':
      return [
        {
          name: 'cluster',
          level: 'critical',
          message: `pgdata "${pgdata}" holds no cluster`,
          hint: `Make a base backup: ${command} -B`,
        },
      ];
    case 'stopped standby':
      return [
        {
          name: 'server',
          level: 'critical',
          message: `the standby on ${pgdata} does not run`,
          hint: `Start it: ${command} -S`,
        },
      ];
    case 'stopped':
      return [
        {
          name: 'server',
          level: 'critical',
          message: `the server on ${pgdata} does not run, and it is no standby`,
          hint: `If another host is the primary now: ${command} --rejoin. Otherwise start it.`,
        },
      ];
    case 'starting':
      return [
        {
          name: 'server',
          level: 'unknown',
          message: 'the server here is still starting',
          hint: "Look again in a moment; the server's log shows what it does.",
        },
      ];
    // An incomplete base backup, or a recovery to a target, is a finding of its own.
    case 'incomplete':
    case 'recovery':
    case 'cold':
    case 'warm standby':
    case 'hot standby':
    case 'primary':
      return [];
  }
}

function judgeUnfinished({ unfinished }: StandbyFacts): Finding[] {
  if (unfinished.kind === 'unknown')
    return unknownFinding('unfinished', 'whether an action was interrupted', unfinished, readAsOwner);
  return unfinished.value.map((trouble) => ({ name: 'unfinished', ...trouble }));
}

function judgeStream({ receiver }: StandbyFacts, { wantsStream }: JudgeContext): Finding[] {
  if (!wantsStream) return [];
  if (receiver.kind === 'unknown')
    return unknownFinding(
      'stream',
      'whether WAL is streamed here',
      receiver,
      'Check that this user can log in to the server here: keys local_port, dbname and psql, and its pg_hba.conf.',
    );
  const status = receiver.value?.status;
  if (status === 'streaming') return [];
  if (status === onlySeen)
    return [
      {
        name: 'stream',
        level: 'unknown',
        message:
          'whether WAL is streamed here is not known: its WAL receiver runs, and its title does not say that it streams',
        hint: 'Let the server show it: update_process_title = on; or from 9.6 hot_standby = on, and a login for this user.',
      },
    ];
  const what =
    status === undefined ? 'no WAL is streamed here' : `the WAL receiver is not streaming: ${status}`;
  return [
    {
      name: 'stream',
      level: 'warning',
      message: `${what}, though use_streaming_replication is on`,
      hint: "The server's log shows why: the primary's pg_hba.conf, the password, or the slot.",
    },
  ];
}

function judgePause({ isPaused, lowSettings }: StandbyFacts): Finding[] {
  // A replay that waits for higher settings calls itself paused.
  if (valueOf(isPaused) !== true || (valueOf(lowSettings)?.length ?? 0) > 0) return [];
  return [
    {
      name: 'paused',
      level: 'warning',
      message: 'the replay is paused: WAL only accumulates here',
      hint: 'Resume it: SELECT pg_wal_replay_resume() (pg_xlog_replay_resume() up to 9.6).',
    },
  ];
}

/** A delay that the INI file asks for is there on purpose; without it, a mistake is replayed at once. */
function judgeDelay({ delayS }: StandbyFacts, { wantedDelayS: wanted, command }: JudgeContext): Finding[] {
  const seen = valueOf(delayS);
  if (seen === undefined || wanted === undefined || Math.abs(seen - wanted) < 0.01) return [];
  if (wanted === 0)
    return [
      {
        name: 'delayed',
        level: 'warning',
        message: `the replay is delayed by ${durationText(seen)}, and the INI file asks for no delay`,
        hint: 'Set recovery_min_apply_delay: in the INI file if it is wanted; otherwise take it out of the configuration of the server, and reload that.',
      },
    ];
  const instead = seen === 0 ? 'at once' : `with a delay of ${durationText(seen)}`;
  return [
    {
      name: 'delayed',
      level: 'warning',
      message: `the INI file asks for a delay of ${durationText(wanted)}, and the server here replays ${instead}`,
      hint: `Start it with that delay: ${command} -A stop, then ${command} -S`,
    },
  ];
}

function judgeSettings({ lowSettings }: StandbyFacts): Finding[] {
  const low = valueOf(lowSettings) ?? [];
  if (low.length === 0) return [];
  const lines = low.map(({ name, demanded }) => `${name} = ${demanded}`).join(', ');
  return [
    {
      name: 'settings',
      level: 'critical',
      message: `${low.map(describeLowLimit).join('; ')}: replay stops, or the server ends`,
      hint: `Set ${lines} here, and restart the server.`,
    },
  ];
}

/** Undefined for a lag that is no finding by itself. */
function judgeLag(
  lag: Fact<Lag | undefined>,
  what: string,
  facts: StandbyFacts,
  { limits }: JudgeContext,
): Finding | undefined {
  const seen = valueOf(lag);
  if (seen === undefined || valueOf(facts.isPaused) === true) return undefined;
  const delayS = valueOf(facts.delayS) ?? 0;
  // A delayed standby is behind on purpose.
  const seconds = seen.seconds === undefined ? undefined : seen.seconds - delayS;
  if (delayS > 0 && (seconds === undefined || seconds <= 0)) return undefined;
  const level = levelBehind(limits, seen.bytes, seconds);
  if (level === 'ok') return undefined;
  return {
    name: 'replay',
    level,
    message: `${sizeText(seen.bytes)} of WAL that is here ${what} was not replayed yet`,
    hint: 'It may wait for a query (max_standby_archive_delay, max_standby_streaming_delay) or for the disk.',
  };
}

function judgeReplay(facts: StandbyFacts, context: JudgeContext): Finding[] {
  const found = [
    judgeLag(facts.archiveLag, 'in the archive', facts, context),
    judgeLag(facts.streamLag, 'by the stream', facts, context),
  ];
  return found.filter((one) => one !== undefined).slice(0, 1);
}

function judgeArchive({ archive }: StandbyFacts, { command }: JudgeContext): Finding[] {
  if (archive.kind === 'unknown')
    return unknownFinding(
      'archive',
      'what the archive holds',
      archive,
      'Check the file system of archivedir, and the owner of what is in it.',
    );
  const state = archive.value;
  if (state.kind === 'unusable')
    return [
      {
        name: 'archive',
        level: 'critical',
        message: `the archive cannot be used: ${state.reason}`,
        hint: `Mount archivedir; if it was never made: ${command} -I`,
      },
    ];
  const gap: Finding[] =
    state.missing === undefined
      ? []
      : [
          {
            name: 'gap',
            level: 'critical',
            message: missingSentence(state.missing),
            hint: `On the primary: cmd_archiver -C FILE --flush. If that does not bring it: ${command} -B`,
          },
        ];
  const diverged = state.diverged.map((mark) => ({
    name: 'diverged',
    level: 'critical' as const,
    message: `${describeLeft(mark)}, and the server here has replayed past that`,
    hint: `Make a new base backup: ${command} -B`,
  }));
  return [...gap, ...diverged];
}

/** The age of what a recovery would begin with. A standby that has replayed since is as old as what it has replayed. */
function judgeBackup({ backup }: StandbyFacts, { limits, command }: JudgeContext): Finding[] {
  const seen = valueOf(backup);
  if (seen === undefined) return [];
  const limitS = limits.backup_warning_age;
  const isOld = limitS > 0 && seen.isUnused && seen.ageS !== undefined && seen.ageS > limitS;
  const old: Finding[] = isOld
    ? [
        {
          name: 'backup',
          level: 'warning',
          message: `the base backup here is ${durationText(seen.ageS)} old, and no server has replayed WAL on it: a recovery would begin with it`,
          hint: `Make a new one: ${command} -B`,
        },
      ]
    : [];
  if (seen.damaged === 0) return old;
  const damaged: Finding = {
    name: 'damaged',
    level: 'critical',
    message: `${seen.damaged} findings of the check of the base backup's pages, at ${seen.verifiedAt ?? 'an unknown time'}`,
    hint: `See ${command} --backup-info; then make a new base backup.`,
  };
  return [...old, damaged];
}

const primaryLevels: Readonly<Record<PrimaryFacts['found'], Finding['level'] | undefined>> = {
  alive: undefined,
  dead: 'critical',
  unreachable: 'critical',
  silent: 'critical',
  'other-cluster': 'critical',
  // A standby may follow another standby.
  'in-recovery': 'warning',
  unasked: 'unknown',
};

function judgePrimary({ primary, failover }: StandbyFacts, { command }: JudgeContext): Finding[] {
  if (primary.kind === 'unknown')
    return unknownFinding(
      'primary',
      'the state of the primary',
      primary,
      `Look with more time: ${command} -P`,
    );
  const seen = primary.value;
  const level = seen && primaryLevels[seen.found];
  if (seen === undefined || level === undefined) return [];
  const isGone = seen.found === 'dead' || seen.found === 'unreachable';
  const possible = valueOf(failover)?.isPossible === true;
  const hint = isGone
    ? `Start it again; or${possible ? '' : ', once the reasons against it are gone,'} fail over: ${command} -F999`
    : 'Look at the server there, and at master_public_ip and port in the INI file.';
  return [{ name: 'primary', level, message: seen.message, hint }];
}

/** Where there is no ssh to the primary its time is not known: that is shown, and is no finding. */
function judgePrimaryClock({ primaryClock }: StandbyFacts): Finding[] {
  const clock = primaryClock.kind === 'seen' ? primaryClock.value : undefined;
  return clock === undefined
    ? []
    : judgeOffset('primary', 'the primary', { ...primaryClock, kind: 'seen', value: clock });
}

function judgeOthers({ standbys }: StandbyFacts, { command }: JudgeContext): Finding[] {
  if (standbys.kind === 'unknown')
    return unknownFinding('standby', 'how far the other standbys have come', standbys, lookLonger(command));
  return (standbys.value ?? []).flatMap(judgeOther);
}

function judgeOther({ name, answer, reason, clock }: OtherStandby): Finding[] {
  if (answer === 'answered' || answer === 'self')
    return clock === undefined ? [] : judgeOffset(name, `standby ${name}`, clock);
  return [
    {
      name: 'standby',
      about: name,
      level: answer === 'silent' ? 'unknown' : 'warning',
      message: `how far standby ${name} has come is not known: ${reason ?? answer}`,
      hint:
        answer === 'silent'
          ? 'Check that host, its sshd and the key of the user who runs PostgreSQL.'
          : 'Check cmd_standby, its INI file and its archivedir there.',
    },
  ];
}

function judgeFailover({ failover }: StandbyFacts, { command }: JudgeContext, mode: Mode): Finding[] {
  if (!isStandby(mode) && mode !== 'recovery') return [];
  if (failover.kind === 'unknown')
    return unknownFinding('failover', 'whether a failover is possible', failover, lookLonger(command));
  return (failover.value?.objections ?? [])
    .filter(({ name }) => name !== 'primary-alive')
    .map(({ name, message, hint }) => ({
      name: 'failover',
      ...(name === undefined ? {} : { about: name }),
      level: name === 'primary-unasked' ? ('unknown' as const) : ('critical' as const),
      message: `a failover here is refused: ${message}`,
      hint: hint ?? lookLonger(command),
    }));
}

/** A primary of which nothing is known is a finding of its own. */
function judgeLoss({ loss, primary }: StandbyFacts, { limits }: JudgeContext): Finding[] {
  if (loss.kind === 'unknown')
    return valueOf(primary)?.found === 'alive'
      ? unknownFinding(
          'behind',
          'what a failover would lose',
          loss,
          'Let this host ask the primary: over ssh, with r_psql: and a login there; or let it stream.',
        )
      : [];
  const seen = loss.value;
  if (seen === undefined) return [];
  const level = levelBehind(limits, seen.bytes, seen.seconds);
  if (level === 'ok') return [];
  const time = seen.seconds === undefined ? '' : `, of the last ${durationText(seen.seconds)}`;
  return [
    {
      name: 'behind',
      level,
      message: `${sizeText(seen.bytes)} of the primary's WAL${time} are not here: a failover would lose them`,
      hint: 'On the primary: cmd_archiver -C FILE --status shows why they do not come.',
    },
  ];
}

function judgeDrill({ drill, backupDrill }: StandbyFacts, { limits, command }: JudgeContext): Finding[] {
  if (drill.kind === 'unknown') return unknownFinding('drill', 'the last drill', drill, readAsOwner);
  const troubles = [
    { message: drillTrouble(drill.value, limits.drill_max_age, durationText), flags: '--drill' },
    { message: backupDrillTrouble(valueOf(backupDrill)), flags: '--drill --from-backup' },
  ];
  return troubles.flatMap(({ message, flags }) =>
    message === undefined
      ? []
      : [
          {
            name: 'drill',
            level: 'warning' as const,
            message,
            hint: `Correct what it found, and run: ${command} ${flags}`,
          },
        ],
  );
}

export function judgeStandby(facts: StandbyFacts, context: JudgeContext): readonly Finding[] {
  const mode = valueOf(facts.mode) ?? 'starting';
  const isServing = mode === 'primary';
  return [
    ...judgeMode(facts, context),
    ...judgeUnfinished(facts),
    ...(replays(mode)
      ? [
          ...judgeStream(facts, context),
          ...judgePause(facts),
          ...judgeDelay(facts, context),
          ...judgeReplay(facts, context),
        ]
      : []),
    ...(isServing
      ? []
      : [
          ...judgeSettings(facts),
          ...judgeArchive(facts, context),
          ...judgeBackup(facts, context),
          ...judgeDrill(facts, context),
          ...judgePrimary(facts, context),
          ...judgePrimaryClock(facts),
          ...judgeOthers(facts, context),
        ]),
    ...judgeFailover(facts, context, mode),
    ...judgeLoss(facts, context),
    ...judgeDisks(context.limits, facts.disks),
  ];
}
