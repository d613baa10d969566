/**
 * The facts about each PostgreSQL release: this is the one place where releases are compared. A fact is a row of
 * `factsAt`: its values, the release from which each value holds, and the chapter of PostgreSQL's manual that says
 * so.
 */
import { PitrError } from '../errors.ts';
import type { ValueSyntax } from './quoting.ts';
import type { RecoveryGoal, TargetAction } from './recovery-target.ts';
import { formatVersion, parseVersion, type Version } from './version.ts';

export interface Capabilities extends Readonly<ReturnType<typeof factsAt>> {
  readonly version: Version;
}

/**
 * The parameters by which a server reaches others or is reached, and those that name places outside its data directory; with
 * the release that brought each, and the one that removed it. "Server Configuration"
 */
const isolating: readonly (readonly [name: string, since?: string, until?: string])[] = [
  ['data_directory'],
  ['hba_file'],
  ['ident_file'],
  ['external_pid_file'],
  ['listen_addresses'],
  ['port'],
  ['unix_socket_directory', '8.4', '9.3'],
  ['unix_socket_directories', '9.3'],
  ['unix_socket_permissions'],
  ['unix_socket_group'],
  ['ssl'],
  ['logging_collector'],
  ['log_destination'],
  ['lc_messages'],
  ['stats_temp_directory', '8.4', '15'],
  ['huge_pages', '9.4'],
  ['archive_mode'],
  ['archive_command'],
  ['archive_library', '15'],
  ['shared_preload_libraries'],
  ['session_preload_libraries', '9.4'],
  ['local_preload_libraries'],
  ['max_logical_replication_workers', '10'],
  ['sync_replication_slots', '17'],
  ['synchronous_standby_names', '9.1'],
  ['event_triggers', '17'],
  ['autovacuum'],
  // Up to 11 these are in recovery.conf.
  ['primary_conninfo', '12'],
  ['primary_slot_name', '12'],
  ['recovery_end_command', '12'],
  ['archive_cleanup_command', '12'],
  ['recovery_min_apply_delay', '12'],
  ['promote_trigger_file', '12', '16'],
];

/** Compares with the release that a row names. */
interface At {
  /** It holds from that release on. */
  readonly since: (release: string) => boolean;
  /** It held until that release came. */
  readonly before: (release: string) => boolean;
  /** The value in 8.4, then each release that changed it. */
  readonly value: <const T>(oldest: T, ...changes: readonly (readonly [release: string, value: T])[]) => T;
}

function factsAt({ since, before, value }: At) {
  return {
    // -- files --
    /** Renamed. "Database File Layout" */
    walDirName: value('pg_xlog', ['10', 'pg_wal']),
    /**
     * Recovery settings became ordinary parameters, switched on by a signal file; the server refuses to start with a
     * `recovery.conf`. "Obsolete or Renamed Features"
     */
    recoveryConf: value('recovery.conf', ['12', 'signal-files']),
    /**
     * How `recovery.conf` reads a quoted value: 8.4 ends it at any quote, 9.0 knows the doubled quote, 9.1 to 11 read it as
     * `postgresql.conf`. "Recovery Configuration"
     */
    recoveryConfSyntax: value<ValueSyntax>('plain', ['9.0', 'doubled'], ['9.1', 'parameter']),
    /** `ALTER SYSTEM` and its file `postgresql.auto.conf`. "Setting Parameters" */
    hasAutoConf: since('9.4'),
    /** A tablespace's files lie in a folder of the server's version: `PG_15_202209061`. "Database File Layout" */
    hasTablespaceVersionFolder: since('9.0'),
    /**
     * A base backup has a `tablespace_map`; before, only the symbolic links in `pg_tblspc`.
     * "Continuous Archiving and Point-in-Time Recovery"
     */
    hasTablespaceMap: since('9.5'),
    /** A backslash in a path stands twice there; seen in the `spcmapfile` of 13 and of 14. */
    tablespaceMapEscapesBackslash: since('14'),
    /** A data directory may be readable by its group (`--allow-group-access`). "initdb" */
    hasGroupAccess: since('11'),
    /** The last segment of each log (`FF`) does not exist. "Release 9.3", Migration */
    walSegmentSkipsFF: before('9.3'),
    /** The file of helper functions for this release, in `scripts/`; the rows below decide which. */
    helperSqlFile: value(
      'cmd_standby.sql',
      ['9.2', 'cmd_standby.92.sql'],
      ['9.6', 'cmd_standby.96.sql'],
      ['10', 'cmd_standby.10.sql'],
      ['15', 'cmd_standby.15.sql'],
    ),

    // -- archiving and statistics --
    /** `pg_stat_archiver`. "The Statistics Collector" */
    hasStatArchiver: since('9.4'),
    /** `pg_stat_wal_receiver`. "The Statistics Collector" */
    hasStatWalReceiver: since('9.6'),
    /** Its column `sender_host`. "The Statistics Collector" */
    tellsSenderHost: since('11'),

    // -- replication slots --
    /** Moves a slot by hand, also on a standby. "System Administration Functions" */
    slotAdvanceFunction: value(undefined, ['11', 'pg_replication_slot_advance']),
    /** The server reports `archive_cleanup_command`; before, it is in `recovery.conf`. "Release 12", Migration */
    reportsCleanupCommand: since('12'),
    /** `pg_replication_slots.wal_status`: the server itself may drop what a slot holds. "pg_replication_slots" */
    tellsSlotWalStatus: since('13'),
    /** A slot that ends with its session. "pg_replication_slots" */
    hasTemporarySlots: since('10'),
    /** A standby can have copies of the primary's logical slots. "Replication Slot Synchronization" */
    syncsSlots: since('17'),
    /** `pg_replication_slots`, and `ALTER SYSTEM`: a switchover needs them. "Release 9.4" */
    hasReplicationSlots: since('9.4'),
    /** `pg_replication_slots.active_pid`: who uses a slot. "pg_replication_slots" */
    tellsSlotProcess: since('9.5'),
    /** A physical slot can keep WAL before anybody streams by it. "System Administration Functions" */
    slotReservesAtOnce: since('9.6'),

    // -- base backup --
    /** A backup that belongs to a session; 15 renamed its functions. "System Administration Functions" */
    backupApi: value('exclusive', ['9.6', 'nonexclusive-start-stop'], ['15', 'nonexclusive-backup_start']),
    /** The end of a backup can leave out the wait for its WAL. "System Administration Functions" */
    canStopWithoutWaiting: since('10'),
    /** The exclusive backup was removed. "Release 15", Migration */
    canExclusive: before('15'),
    /** `pg_is_in_backup()`, which anybody may call. "Backup Control Functions" */
    tellsExclusive: value(false, ['9.3', true], ['15', false]),
    /** A member of the role `pg_checkpoint` may run CHECKPOINT as well. "Predefined Roles" */
    checkpointPrivilege: value('superuser', ['15', 'pg_checkpoint']),
    /**
     * This function returns a tablespace's path; before, it was in `pg_tablespace.spclocation`. "System Information
     * Functions"
     */
    tablespaceLocation: value('spclocation', ['9.2', 'pg_tablespace_location']),
    /** `pg_read_file` needs all three arguments. "System Administration Functions" */
    readFileNeedsLength: before('9.1'),
    /** This role may read every setting (`data_directory`); before, only a superuser. "Predefined Roles" ("Default Roles" up to 13) */
    hasReadAllSettingsRole: since('10'),
    /** This role may ask for the size of everything. "Predefined Roles" ("Default Roles" up to 13) */
    hasReadAllStatsRole: since('10'),
    /** Where recovery starts, as `pg_control_checkpoint()` calls it. "System Information Functions" */
    controlRedoColumn: value(undefined, ['9.6', 'redo_location'], ['10', 'redo_lsn']),
    /** `pg_stat_replication`. "Monitoring Database Activity" */
    hasStatReplication: since('9.1'),
    /** Its columns were renamed. "Release 10" */
    replicationLsnSuffix: value('location', ['10', 'lsn']),
    /** A database records the version of its collation. "pg_database" */
    recordsCollationVersion: since('15'),
    /** Collations of ICU, whose versions the server can say. "pg_collation" */
    hasIcuCollations: since('10'),
    /** `replay_lag`. "Monitoring Database Activity" */
    hasReplayLag: since('10'),

    // -- functions, by the name that this release gives them --
    /** "System Administration Functions" */
    switchWalFunction: value('pg_switch_xlog', ['10', 'pg_switch_wal']),
    /** "System Administration Functions" */
    currentLsnFunction: value('pg_current_xlog_location', ['10', 'pg_current_wal_lsn']),
    /** "System Administration Functions" */
    walFileNameFunction: value('pg_xlogfile_name', ['10', 'pg_walfile_name']),
    /** The segment that this function names for a location between two segments. "Release 17", Migration */
    walFileNameOfBoundary: value('segment before', ['17', 'segment behind']),
    /** This one and the next six: "System Administration Functions", Recovery Control. */
    isInRecoveryFunction: value(undefined, ['9.0', 'pg_is_in_recovery']),
    lastReplayLsnFunction: value(
      undefined,
      ['9.0', 'pg_last_xlog_replay_location'],
      ['10', 'pg_last_wal_replay_lsn'],
    ),
    lastReceiveLsnFunction: value(
      undefined,
      ['9.0', 'pg_last_xlog_receive_location'],
      ['10', 'pg_last_wal_receive_lsn'],
    ),
    lastReplayTimestampFunction: value(undefined, ['9.1', 'pg_last_xact_replay_timestamp']),
    replayResumeFunction: value(undefined, ['9.1', 'pg_xlog_replay_resume'], ['10', 'pg_wal_replay_resume']),
    replayPauseFunction: value(undefined, ['9.1', 'pg_xlog_replay_pause'], ['10', 'pg_wal_replay_pause']),
    isReplayPausedFunction: value(
      undefined,
      ['9.1', 'pg_is_xlog_replay_paused'],
      ['10', 'pg_is_wal_replay_paused'],
    ),
    /** EXECUTE on them can be granted; before, they ask for a superuser themselves. "System Administration Functions" */
    canGrantAdminFunctions: since('9.6'),
    /** Whether a transaction has ended. "System Information Functions" */
    transactionStatusFunction: value(undefined, ['10', 'txid_status']),
    /** `pg_class.relpersistence`; before, `relistemp`. System Catalogs, "pg_class" */
    hasRelationPersistence: since('9.1'),

    // -- standby --
    /** The server waits for WAL by itself; before, a `restore_command` must (`pg_standby`). "Log-Shipping Standby Servers" */
    standbyMode: since('9.0'),
    /** "Log-Shipping Standby Servers", Streaming Replication */
    streaming: since('9.0'),
    /** The lowest `wal_level` for a standby that answers queries. "Write Ahead Log", Settings; "Release 9.6" */
    walLevel: value(undefined, ['9.0', 'hot_standby'], ['9.6', 'replica']),
    /** A role may replicate without being a superuser. "CREATE ROLE" */
    hasReplicationRoles: since('9.1'),
    /** The best method of pg_hba.conf for a password. "Password Authentication" */
    passwordMethod: value('md5', ['10', 'scram-sha-256']),
    /** `hot_standby` is on unless switched off. "Release 10", Migration */
    hotStandbyDefaultOn: since('10'),
    /** `max_wal_senders` must not be lower than on the primary. "Hot Standby", Administrator's Overview */
    comparesWalSenders: since('12'),
    /** A reload puts another `primary_conninfo` into force. "Release 13", Streaming Replication and Recovery */
    reloadsPrimaryConninfo: since('13'),
    /** A standby finds a timeline that appears in its archive; before, only at its start. "Release 9.1", Continuous Archiving */
    findsNewTimelines: since('9.1'),
    /** "Archive Recovery Settings" */
    hasArchiveCleanupCommand: since('9.0'),
    /** Earlier releases ask the archive again every 5 seconds. Server Configuration, "Replication" */
    hasWalRetrieveRetryInterval: since('9.5'),
    /** "Standby Server Settings" */
    hasRecoveryMinApplyDelay: since('9.4'),
    /** The default is the base backup's timeline: a standby stops where its primary was promoted. "Release 12", Migration */
    timelineLatestMustBeWritten: before('12'),

    // -- promotion --
    /** In recovery.conf, then an ordinary parameter, then gone. "Standby Server Settings"; "Release 16", Migration */
    triggerFile: value(undefined, ['9.0', 'trigger_file'], ['12', 'promote_trigger_file'], ['16', undefined]),
    /** "pg_ctl" */
    hasPgCtlPromote: since('9.1'),
    /** A commit can be set to wait for no standby; 9.0 has no synchronous replication. "Write Ahead Log" */
    hasSynchronousCommitLocal: since('9.1'),

    // -- recovery to a target --
    /** "Recovery Target Settings" */
    recoveryTargets: value<readonly RecoveryGoal['kind'][]>(
      ['time', 'xid'],
      ['9.1', ['time', 'xid', 'name']],
      ['9.4', ['time', 'xid', 'name', 'immediate']],
      ['10', ['time', 'xid', 'name', 'immediate', 'lsn']],
    ),
    /** 9.5 made the switch of 9.1 a choice; before 9.1 a server always opens. "Recovery Target Settings" */
    targetAction: value(undefined, ['9.1', 'pause_at_recovery_target'], ['9.5', 'recovery_target_action']),
    /** The things that a server can do at a target, named as in 9.5. "Recovery Target Settings" */
    targetActions: value<readonly TargetAction[]>(
      ['promote'],
      ['9.1', ['promote', 'pause']],
      ['9.5', ['promote', 'pause', 'shutdown']],
    ),
    /** The base backup's timeline is followed when none is written; 12 has the word `current`. "Release 12", Migration */
    currentTimelineMustBeLeftOut: before('12'),
    /** A target that is not reached is FATAL; before, the server opens at the end of the WAL. "Release 13", Migration */
    unreachedTargetIsFatal: since('13'),

    // -- isolation --
    /** The names of `isolating` that this release knows. */
    isolatingParameters: new Set(
      isolating
        .filter(([, from = '8.4', until]) => since(from) && (until === undefined || before(until)))
        .map(([name]) => name),
    ) as ReadonlySet<string>,
    /** Checks tables and indexes of all databases. "pg_amcheck" */
    hasPgAmcheck: since('14'),

    // -- programs --
    /** Reads WAL. "PostgreSQL Server Applications" */
    walDumpProgram: value(undefined, ['9.3', 'pg_xlogdump'], ['10', 'pg_waldump']),
    /** A server says which settings wait for a restart, and what is wrong with its files. "pg_settings", "pg_file_settings" */
    tellsPendingRestart: since('9.5'),
    /** "pg_basebackup" */
    hasPgBasebackup: since('9.1'),
    /** `pg_rewind`: it needs page checksums or `wal_log_hints` in the cluster that it changes. "pg_rewind" */
    hasPgRewind: since('9.5'),
    /** It recovers a server that crashed, and takes WAL from the archive (`-c`). "pg_rewind" */
    pgRewindRecovers: since('13'),
    /** It can leave the flush of its files to the caller (`-N`). "Release 12" */
    pgRewindCanSkipFlush: since('12'),
    /** It leaves the replication slots of the other server out. "Release 11" */
    pgRewindLeavesSlots: since('11'),
    /** By the program's own version: it can put tablespaces elsewhere, and be throttled. "pg_basebackup" */
    pgBasebackupMapsAndThrottles: since('9.4'),
    /**
     * By the program's own version: it needs an option to send no WAL, and can leave the flushing to others.
     * "pg_basebackup"
     */
    pgBasebackupSendsWalByDefault: since('10'),
    /** By the program's own version. "pg_basebackup" */
    pgBasebackupMakesManifest: since('13'),
  };
}

/** From 8.4; a release newer than the newest row is taken for that one, an older one is refused. */
export function capabilitiesOf(version: Version): Capabilities {
  const major = majorNum(version);
  const since = (release: string) => major >= majorNum(parseVersion(release));
  if (!since('8.4')) {
    throw new PitrError(`PostgreSQL ${formatVersion(version)} is not supported`, {
      hint: 'pitrtools supports PostgreSQL 8.4 and later.',
    });
  }
  return {
    version,
    ...factsAt({
      since,
      before: (release) => !since(release),
      value: (oldest, ...changes) =>
        changes.reduce((held, [release, changed]) => (since(release) ? changed : held), oldest),
    }),
  };
}

/** The newest release of which real servers were tested. A newer one is treated as this one. */
const newestTested = '18';

/** A sentence about a release with which nothing was tested; undefined for all others. */
export function untestedRelease({ version }: Pick<Capabilities, 'version'>): string | undefined {
  if (majorNum(version) <= majorNum(parseVersion(newestTested))) return undefined;
  return `PostgreSQL ${version.major} is newer than ${newestTested}, the newest release with which this version of pitrtools was tested: whether everything works with it is not known`;
}

/** `server_version_num` without the minor part. */
function majorNum(version: Version): number {
  return version.num >= 100_000 ? version.num - (version.num % 10_000) : version.num - (version.num % 100);
}

/**
 * Whether WAL that a physical slot is moved over may be removed by the next checkpoint. Earlier minor releases compute
 * what all slots need only when a slot is made or dropped. "Release 11.9", "Release 12.4". `num` is `server_version_num`.
 */
export function releasesByAdvance(num: number): boolean {
  return num < 120_000 ? num >= 110_009 : num >= 120_004;
}
