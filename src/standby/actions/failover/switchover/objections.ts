import { isHostWord } from '../../../../postgres/left-timeline.ts';
import { formatVersion } from '../../../../postgres/version.ts';
import { quoted } from '../../../../system/printable.ts';
import { slotsOf } from '../../../slot/for-others.ts';
import { type Objection, when } from '../../../steps/objections.ts';
import { listFailoverObjections } from '../objections.ts';
import type { BeforeFacts, SwitchoverFacts } from './facts.ts';
import { followerObjections } from './follower-objections.ts';
import { synchronousObjections } from './synchronous.ts';

/** A run of this host stopped it before, and was ended: this one finishes what that one began. */
export function isStoppedForUs({ primary, publicName }: BeforeFacts): boolean {
  return primary.stoppedFor === publicName && primary.server !== 'production';
}

/**
 * An earlier run has asked this host's server to open before it ended: the old primary is not started again. As long as nobody
 * has asked it, the switchover can be taken back, whatever is recorded.
 */
export function mayBePromoted({ before, isOpening }: Pick<SwitchoverFacts, 'before' | 'isOpening'>): boolean {
  return before === undefined || isOpening;
}

function primaryObjections(facts: BeforeFacts, host: string): readonly Objection[] {
  const { primary, publicName } = facts;
  switch (primary.server) {
    case 'production':
      return [];
    case 'recovering':
      return isStoppedForUs(facts)
        ? []
        : [
            {
              message: `the server on ${host} is a standby itself`,
              hint: 'Set master_public_ip: to the host of the primary.',
            },
          ];
    case 'starting':
    case 'stopped': {
      if (isStoppedForUs(facts)) return [];
      const other =
        primary.stoppedFor === undefined ? '' : `, by a switchover to ${quoted(primary.stoppedFor)}`;
      return [
        {
          message: `the server on ${host} is not in production: it is ${primary.server}${other}`,
          hint:
            other === ''
              ? `Start it there first. If that is not possible, -F999 here makes this standby the primary (${publicName}).`
              : 'Run --switchover on that host: it finishes what it began.',
        },
      ];
    }
  }
}

function versionObjections(
  { failover: { directory } }: SwitchoverFacts,
  { primary }: BeforeFacts,
): readonly Objection[] {
  const { capabilities } = directory;
  if (!capabilities.hasReplicationSlots)
    return [
      {
        message: `a switchover needs PostgreSQL 9.4 or later, and this is ${formatVersion(capabilities.version)}`,
        hint: 'Stop the primary, run cmd_archiver --flush there, then -F999 here.',
      },
    ];
  return when(primary.version !== capabilities.version.major, {
    message: `the primary is of PostgreSQL ${quoted(primary.version, 20)}, and this standby of ${capabilities.version.major}`,
    hint: 'Check master_public_ip: and pgdata: on both hosts.',
  });
}

/** A standby that cannot be asked cannot be shown to have replayed the primary's last record. */
function hereObjections({ failover, isOpening }: SwitchoverFacts, before: BeforeFacts): readonly Objection[] {
  const { state, isPaused, delay } = failover;
  if (state.kind === 'stopped')
    return [{ message: 'the standby here is stopped', hint: 'Start it: cmd_standby -C FILE -S' }];
  return [
    // Another server is the primary by now.
    ...when(isOpening && !isStoppedForUs(before), {
      message: 'an earlier run has asked the standby here to open: it may do so at any moment',
      hint: 'Stop it, and start it as a standby: cmd_standby -C FILE -A stop, then -S',
    }),
    ...when(state.kind === 'recovering' && !state.answers, {
      message: 'the standby here answers no query: whether it has replayed everything could not be seen',
      hint: 'Set hot_standby = on, and check that the login works.',
    }),
    ...when(isPaused, {
      message: 'the replay here is paused',
      hint: 'Resume it: SELECT pg_wal_replay_resume() (pg_xlog_replay_resume() up to 9.6)',
    }),
    ...when(delay !== undefined, {
      message: 'the standby here delays its replay on purpose (recovery_min_apply_delay)',
      hint: 'Set it to 0 and reload the server (up to 11, in recovery.conf: restart it), and wait until it has caught up.',
    }),
  ];
}

function archivingObjections({
  part,
  archiving,
  archivingProblems,
  otherIniFile,
}: BeforeFacts): readonly Objection[] {
  const hint = `Set archive_mode = on and archive_command = 'cmd_archiver -C ${part.iniFile} -F %p' in the configuration that is in force here after a promotion.`;
  const inPart: readonly Objection[] =
    part.kind === 'ready'
      ? []
      : [
          {
            message: `whom this host feeds once it is the primary is not known: "${part.iniFile}" ${part.kind === 'missing' ? 'does not exist' : `cannot be used: ${part.reason}`}`,
            hint: "Write cmd_archiver's INI file for this host, with the old primary and the other standbys in slaves:.",
          },
        ];
  if (archiving.kind === 'unknown')
    return [
      ...inPart,
      { message: `whether this server archives after its promotion is not known: ${archiving.reason}`, hint },
    ];
  const { archiveMode, archiveCommand, archiveLibrary } = archiving.archiving;
  const isOff = archiveMode === 'off' || (archiveCommand === '' && archiveLibrary === '');
  return [
    ...inPart,
    ...when(isOff, { message: 'this server would archive nothing after its promotion', hint }),
    ...archivingProblems.map((problem) => ({
      message: `archive_command of this server must be changed: ${problem}`,
      hint,
    })),
    ...when(otherIniFile !== undefined, {
      message: `archive_command of this server names "${otherIniFile ?? ''}", and cmd_standby's INI file here names "${part.iniFile}" as cmd_archiver's`,
      hint: `Set archiver_ini: ${otherIniFile ?? ''} in cmd_standby's INI file here, or correct archive_command.`,
    }),
  ];
}

/** The standbys of this host must contain the old primary. Each of the others must answer, so that it can follow. */
function siblingObjections(
  { failover, peer, fed }: SwitchoverFacts,
  { primary, part }: BeforeFacts,
): readonly Objection[] {
  const { siblings } = failover.siblings;
  const notFed: readonly Objection[] = when(part.kind === 'ready' && fed === undefined, {
    message: `"${part.iniFile}" does not feed the old primary: none of its standbys is on ${peer.host}, with r_archivedir: ${quoted(primary.archivedir)}`,
    hint: 'Add it to slaves:, with that r_archivedir:, and check that ssh to it works.',
  });
  const silent = siblings.flatMap(({ target, answer }): readonly Objection[] => {
    if (answer.kind === 'answered' || answer.kind === 'self') return [];
    const reason =
      answer.kind === 'foreign' ? `its archive belongs to cluster ${answer.systemIdentifier}` : answer.reason;
    return [
      {
        name: 'sibling-unasked',
        message: `standby ${target.name} cannot be asked: ${quoted(reason)}`,
        hint: 'hint' in answer ? answer.hint : `Correct that, or take ${target.name} out of slaves:.`,
        cost: `${target.name} does not follow this host until --follow is run there`,
      },
    ];
  });
  return [...notFed, ...silent];
}

const leastSegments = 8;

function roomObjections({ free, primary }: BeforeFacts): readonly Objection[] {
  const needed = leastSegments * primary.segmentSize;
  return [...free].flatMap(([directory, bytes]) =>
    when(bytes < needed, {
      name: 'room' as const,
      message: `only ${Math.floor(bytes / 1024 / 1024)} MB are free in "${directory}"`,
      hint: `Make room for ${leastSegments} segments at least.`,
    }),
  );
}

function serverObjections({ settings, publicName }: BeforeFacts): readonly Objection[] {
  return [
    ...when(settings.get('wal_level') === 'minimal', {
      message: 'wal_level = minimal is in force here after a promotion: no standby can follow',
      hint: 'Set wal_level = replica (hot_standby up to 9.5).',
    }),
    ...when(!isHostWord(publicName), {
      message: `"${quoted(publicName)}" is no name of a host that others can be given`,
      hint: 'Set public_ip: to the address by which they reach this host.',
    }),
  ];
}

/** The slots that the others need here. The old primary's comes first: without it that server would stay down. */
export function wantedSlots({ failover }: SwitchoverFacts, { primary }: BeforeFacts): readonly string[] {
  const { streamSlot } = primary;
  return [...(streamSlot === undefined ? [] : [streamSlot]), ...slotsOf(failover.siblings)];
}

/** Each of the others could be refused only when it follows, and the old primary is stopped by then. */
function slotObjections(facts: SwitchoverFacts, before: BeforeFacts): readonly Objection[] {
  const { slotRoom, settings } = before;
  if (slotRoom === undefined || isStoppedForUs(before)) return [];
  const { names } = slotRoom;
  const missing = wantedSlots(facts, before).filter((name) => !names.includes(name));
  const later = Number(settings.get('max_replication_slots') ?? Number.POSITIVE_INFINITY);
  const most = Math.min(slotRoom.most, later);
  const needed = names.length + missing.length;
  return when(missing.length > 0 && needed > most, {
    message: `max_replication_slots here is ${most}, and ${needed} are needed: ${[...names, ...missing].join(', ')}`,
    hint: 'Raise it in the configuration of this host, also in that of a failover, and restart the server; or drop slots that nobody needs: SELECT pg_drop_replication_slot(…)',
  });
}

/** All objections of all hosts, at once. */
export function listSwitchoverObjections(facts: SwitchoverFacts): readonly Objection[] {
  const { before, failover, peer } = facts;
  if (before === undefined) return [];
  const there = before.primary.problems.map(({ message, hint }) => ({
    message: `on ${peer.host}: ${quoted(message)}`,
    hint: hint === undefined ? undefined : quoted(hint),
  }));
  return [
    ...primaryObjections(before, peer.host),
    ...there,
    ...versionObjections(facts, before),
    ...hereObjections(facts, before),
    // Only one host can stop the primary, which says for whom it was stopped.
    ...(failover.state.kind === 'stopped' ? [] : listFailoverObjections(failover)).filter(
      ({ name }) => name !== 'switchover-begun',
    ),
    ...archivingObjections(before),
    ...siblingObjections(facts, before),
    ...followerObjections(facts, before),
    ...synchronousObjections(before),
    ...serverObjections(before),
    ...slotObjections(facts, before),
    ...roomObjections(before),
  ];
}
