import { isHostWord } from '../../../../postgres/left-timeline.ts';
import { formatVersion } from '../../../../postgres/version.ts';
import { quoted } from '../../../../system/printable.ts';
import { slotsOf } from '../../../slot/for-others.ts';
import { type Objection, when } from '../../../steps/objections.ts';
import { listFailoverObjections } from '../objections.ts';
import type { BeforeFacts, SwitchoverFacts } from './facts.ts';

/** A run of this host stopped it before, and was ended: this one finishes what that one began. */
export function isStoppedForUs({ primary, publicName }: BeforeFacts): boolean {
  return primary.stoppedFor === publicName && primary.server !== 'production';
}

/**
 * An earlier run may have promoted this host's server before it ended: the old primary is not started again. If it serves, it was
 * started by hand since, and the switchover begins anew.
 */
export function mayBePromoted({ before, begun }: Pick<SwitchoverFacts, 'before' | 'begun'>): boolean {
  if (before === undefined) return true;
  return begun?.end !== undefined && isStoppedForUs(before);
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
  });
}

/** A standby that cannot be asked cannot be shown to have replayed the primary's last record. */
function hereObjections({ failover }: SwitchoverFacts): readonly Objection[] {
  const { state, isPaused, delay } = failover;
  if (state.kind === 'stopped')
    return [{ message: 'the standby here is stopped', hint: 'Start it: cmd_standby -C FILE -S' }];
  return [
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
      hint: 'Set it to 0 first.',
    }),
  ];
}

function archivingObjections({ part, archiving, archivingProblems }: BeforeFacts): readonly Objection[] {
  const hint =
    "Set archive_mode = on and archive_command = 'cmd_archiver -C FILE -F %p' in the configuration that is in force here after a promotion.";
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

/** The names in `synchronous_standby_names`, in any of its forms. */
export function synchronousNames(text: string): readonly string[] {
  const list = /\((.*)\)\s*$/s.exec(text)?.[1] ?? text;
  return list
    .split(',')
    .map((name) => name.trim().replace(/^"(.*)"$/s, '$1'))
    .filter((name) => name !== '');
}

/** A commit here would wait for a standby that does not exist. */
function synchronousObjections({ settings, primary }: BeforeFacts): readonly Objection[] {
  const value = settings.get('synchronous_standby_names') ?? '';
  const names = synchronousNames(value);
  if (names.length === 0 || names.includes('*')) return [];
  const { streamsAs } = primary;
  const isThere =
    streamsAs !== undefined && names.some((name) => name.toLowerCase() === streamsAs.toLowerCase());
  return when(!isThere, {
    message: `synchronous_standby_names = '${value}' here does not name the old primary (${streamsAs ?? 'which will not stream'}): each commit would wait after the switchover`,
    hint: `Add its application_name there${streamsAs === undefined ? '' : ` (${streamsAs})`}, or empty the setting.`,
  });
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

function serverObjections(
  { settings, primary, wayBack, publicName }: BeforeFacts,
  host: string,
): readonly Objection[] {
  return [
    ...when(settings.get('wal_level') === 'minimal', {
      message: 'wal_level = minimal is in force here after a promotion: no standby can follow',
      hint: 'Set wal_level = replica (hot_standby up to 9.5).',
    }),
    ...when(primary.streamsAs !== undefined && settings.get('max_wal_senders') === '0', {
      message: 'max_wal_senders = 0 is in force here after a promotion: no standby can stream',
      hint: 'Set it to 10, for example.',
    }),
    ...wayBack.map(({ message, hint }) => ({
      message: `${host} cannot follow this host: ${quoted(message)}`,
      hint: `${hint === undefined ? '' : `${quoted(hint)} `}(public_ip: is the address that it uses: ${publicName})`,
    })),
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
  const { slotsHere, settings } = before;
  if (slotsHere === undefined || isStoppedForUs(before)) return [];
  const { names } = slotsHere;
  const missing = wantedSlots(facts, before).filter((name) => !names.includes(name));
  const later = Number(settings.get('max_replication_slots') ?? Number.POSITIVE_INFINITY);
  const most = Math.min(slotsHere.most, later);
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
    ...hereObjections(facts),
    ...(failover.state.kind === 'stopped' ? [] : listFailoverObjections(failover)),
    ...archivingObjections(before),
    ...siblingObjections(facts, before),
    ...synchronousObjections(before),
    ...serverObjections(before, peer.host),
    ...slotObjections(facts, before),
    ...roomObjections(before),
  ];
}

/** Facts that the operator must know before, and that prevent nothing. */
export function listRemarks({ before }: SwitchoverFacts): readonly string[] {
  if (before === undefined) return [];
  const { primary, syncedSlots, settings } = before;
  const lost = primary.logicalSlots.filter((name) => !syncedSlots.includes(name));
  const wasSynchronous = synchronousNames(primary.synchronousStandbyNames ?? '').length > 0;
  const isSynchronous = (settings.get('synchronous_standby_names') ?? '') !== '';
  return [
    ...when(
      lost.length > 0,
      `these logical replication slots of the primary do not exist here, and their subscribers lose their place: ${lost.map((name) => quoted(name, 64)).join(', ')}`,
    ),
    ...when(
      wasSynchronous && !isSynchronous,
      'the primary commits synchronously, and this host will not: synchronous_standby_names is empty here',
    ),
  ];
}
