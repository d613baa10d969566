/**
 * What each PostgreSQL release can do. Every field names the release that changed it; the comparisons are in
 * `release-facts.ts` and nowhere else.
 */
import { PitrError } from '../errors.ts';
import type { ValueSyntax } from './quoting.ts';
import type { TargetAction } from './recovery-target.ts';
import {
  archivingFacts,
  backupFacts,
  fileFacts,
  functionNames,
  programFacts,
  promotionFacts,
  standbyFacts,
  targetFacts,
} from './release-facts.ts';
import { formatVersion, type Version } from './version.ts';

/** Kinds of recovery target that a release knows. */
export type RecoveryTarget = 'time' | 'xid' | 'name' | 'immediate' | 'lsn';

export interface Capabilities {
  readonly version: Version;
  /** The major release is newer than this program; it is treated as the newest one known. */
  readonly isNewerThanKnown: boolean;

  // -- files --
  /** 10 renamed `pg_xlog`. */
  readonly walDirName: 'pg_xlog' | 'pg_wal';
  /** From 12 recovery settings are ordinary parameters, switched on by a signal file; the server refuses to start with a `recovery.conf`. */
  readonly recoveryConf: 'recovery.conf' | 'signal-files';
  /** How `recovery.conf` reads a quoted value: 8.4 ends it at any quote, 9.0 knows the doubled quote, 9.1 to 11 read it as `postgresql.conf`. */
  readonly recoveryConfSyntax: ValueSyntax;
  /** From 9.4, `ALTER SYSTEM` and its file `postgresql.auto.conf`. */
  readonly hasAutoConf: boolean;
  /** From 9.0 a server keeps a tablespace's files in a folder of its own version: `PG_15_202209061`. */
  readonly hasTablespaceVersionFolder: boolean;
  /** From 9.5 a base backup has a `tablespace_map`; before, only the symbolic links in `pg_tblspc`. */
  readonly hasTablespaceMap: boolean;
  /** From 11 a data directory may be readable by its group (`initdb --allow-group-access`). */
  readonly hasGroupAccess: boolean;
  /** Up to 9.2 the last segment of each log (`FF`) does not exist. */
  readonly walSegmentSkipsFF: boolean;
  /** Up to 10 the segment size is fixed when the server is compiled; from 11 initdb chooses it. */
  readonly segmentSizeChosenAtInitdb: boolean;
  /** Up to 9.2 the history file names a segment, from 9.3 a location. */
  readonly historyHasLsn: boolean;
  /** From 9.5 a promoted server archives the unfinished last segment of the old timeline as `.partial`; before, under its full name. */
  readonly archivesFullLastSegmentAtPromotion: boolean;
  /** The helper functions for this release, in `scripts/`. */
  readonly helperSqlFile: string;

  // -- archiving --
  /** `archive_command` that exits above this ends the archiver process: 128 up to 9.3, 125 from 9.4. */
  readonly archiveCommandFatalAbove: 125 | 128;
  /** From 9.5 a standby calls `archive_command`, too, if asked. */
  readonly hasArchiveModeAlways: boolean;
  /** From 15, `archive_library` may take the place of `archive_command`. */
  readonly hasArchiveLibrary: boolean;
  /** `wal_level` came with 9.0; each list names what suffices. Empty: nothing to set (8.4). */
  readonly walLevelsForArchiving: readonly string[];
  readonly walLevelsForHotStandby: readonly string[];
  /** From 9.4. */
  readonly hasStatArchiver: boolean;
  /** From 9.6. */
  readonly hasStatWalReceiver: boolean;

  // -- base backup --
  /** 9.6 brought the backup that belongs to a session; 15 renamed its functions. */
  readonly backupApi: 'exclusive' | 'nonexclusive-start-stop' | 'nonexclusive-backup_start';
  /** 15 removed the exclusive backup. */
  readonly canExclusive: boolean;
  /** Up to 9.0 only a superuser may; from 9.1 a REPLICATION role, too; from 9.6 whoever is granted EXECUTE. */
  readonly backupPrivilege: 'superuser' | 'replication role' | 'granted execute';
  /** From 15 a member of the role `pg_checkpoint` may run CHECKPOINT, too. */
  readonly checkpointPrivilege: 'superuser' | 'pg_checkpoint';
  /** 9.2 moved a tablespace's path from `pg_tablespace.spclocation` to this function. */
  readonly tablespaceLocation: 'spclocation' | 'pg_tablespace_location';
  /** `pg_read_file` needs all three arguments up to 9.0. */
  readonly readFileNeedsLength: boolean;
  /** From 10 this role may read every setting (`data_directory`); before, only a superuser. */
  readonly hasReadAllSettingsRole: boolean;
  /** From 10 this role may ask for the size of everything. */
  readonly hasReadAllStatsRole: boolean;
  /** What `pg_control_checkpoint()` calls the place from which recovery starts; undefined up to 9.5, which lack it. */
  readonly controlRedoColumn: 'redo_location' | 'redo_lsn' | undefined;
  /** From 11 the functions that read the server's files may be granted. */
  readonly hasReadServerFilesRole: boolean;

  // -- functions, by the name that this release gives them --
  readonly switchWalFunction: 'pg_switch_xlog' | 'pg_switch_wal';
  readonly currentLsnFunction: 'pg_current_xlog_location' | 'pg_current_wal_lsn';
  readonly insertLsnFunction: 'pg_current_xlog_insert_location' | 'pg_current_wal_insert_lsn';
  readonly walFileNameFunction: 'pg_xlogfile_name' | 'pg_walfile_name';
  /** What that function names for a location between two segments; 17 changed it. */
  readonly walFileNameOfBoundary: 'segment before' | 'segment behind';
  /** From 9.0. */
  readonly isInRecoveryFunction: 'pg_is_in_recovery' | undefined;
  readonly lastReceiveLsnFunction: 'pg_last_xlog_receive_location' | 'pg_last_wal_receive_lsn' | undefined;
  readonly lastReplayLsnFunction: 'pg_last_xlog_replay_location' | 'pg_last_wal_replay_lsn' | undefined;
  /** From 9.1. */
  readonly lastReplayTimestampFunction: 'pg_last_xact_replay_timestamp' | undefined;
  readonly replayPauseFunction: 'pg_xlog_replay_pause' | 'pg_wal_replay_pause' | undefined;
  readonly replayResumeFunction: 'pg_xlog_replay_resume' | 'pg_wal_replay_resume' | undefined;
  readonly isReplayPausedFunction: 'pg_is_xlog_replay_paused' | 'pg_is_wal_replay_paused' | undefined;
  /** Whether a transaction has ended; from 10. */
  readonly transactionStatusFunction: 'txid_status' | undefined;
  /** From 12. */
  readonly promoteFunction: 'pg_promote' | undefined;
  /** From 9.6 SQL can read pg_control. */
  readonly controlFunctions: boolean;
  /** From 9.1 SQL can read binary files; before 9.6 the only way to the system identifier by SQL. */
  readonly readBinaryFileFunction: 'pg_read_binary_file' | undefined;

  // -- standby --
  /** From 9.0 the server has a standby mode of its own; 8.4 needs a `restore_command` that waits. */
  readonly standbyMode: boolean;
  /** On 8.4 the `restore_command` that waits is `pg_standby`. */
  readonly needsPgStandby: boolean;
  /** From 9.0. */
  readonly streaming: boolean;
  /** From 9.0 a standby can answer queries. */
  readonly hotStandby: boolean;
  /** From 10 `hot_standby` is on unless switched off. */
  readonly hotStandbyDefaultOn: boolean;
  /** From 9.1 streaming needs the REPLICATION attribute; on 9.0 a superuser. */
  readonly hasReplicationRole: boolean;
  /** From 9.2 a standby can stream from another standby. */
  readonly cascading: boolean;
  /** From 9.0. */
  readonly hasArchiveCleanupCommand: boolean;
  /** From 9.5; before, a standby asks the archive again every 5 seconds. */
  readonly hasWalRetrieveRetryInterval: boolean;
  /** From 9.4. */
  readonly hasPrimarySlotName: boolean;
  /** From 9.4. */
  readonly hasRecoveryMinApplyDelay: boolean;
  /** Before 12 the default is the base backup's timeline: a standby stops where its primary was promoted. */
  readonly timelineLatestMustBeWritten: boolean;
  /** From 13 a changed `primary_conninfo` takes effect by reload; before, by restart. */
  readonly primaryConninfoReloads: boolean;
  /** From 14 a changed `restore_command` takes effect by reload; before, by restart. */
  readonly restoreCommandReloads: boolean;
  /** 13 replaced the number of segments by a size; 8.4 has neither. */
  readonly keepWalParameter: 'wal_keep_segments' | 'wal_keep_size' | undefined;

  // -- promotion --
  /** From 9.0 in recovery.conf, renamed and an ordinary parameter in 12, gone in 16. */
  readonly triggerFile: 'trigger_file' | 'promote_trigger_file' | undefined;
  /** From 9.1. */
  readonly hasPgCtlPromote: boolean;
  /** 9.1 to 12: a promotion of a server whose replay is paused waits until somebody resumes it. */
  readonly promotionResumeNeeded: boolean;

  /** From 9.1 a commit can be told to wait for no standby; 9.0 has no synchronous replication. */
  readonly hasSynchronousCommitLocal: boolean;

  // -- recovery to a target --
  /** `name` came with 9.1, `immediate` with 9.4, `lsn` with 10. */
  readonly recoveryTargets: readonly RecoveryTarget[];
  /** 9.5 made the switch of 9.1 a choice; 8.4 and 9.0 always open. */
  readonly targetAction: 'recovery_target_action' | 'pause_at_recovery_target' | undefined;
  /** What a server can do at a target, by the name that 9.5 gave it. */
  readonly targetActions: readonly TargetAction[];
  /** Up to 11 the base backup's timeline is followed when none is written; 12 has the word `current`. */
  readonly currentTimelineMustBeLeftOut: boolean;
  /** From 12 the server does not start with two targets set. */
  readonly onlyOneRecoveryTarget: boolean;
  /** From 13 a target that is not reached is FATAL; before, the server opens at the end of the WAL. */
  readonly unreachedTargetIsFatal: boolean;

  // -- programs and connections --
  /** From 10 every action of `pg_ctl` waits unless told not to, `promote` included; before, only `stop` did. */
  readonly pgCtlWaitsByDefault: boolean;
  /** From 9.3. */
  readonly hasPgIsready: boolean;
  /** Reads WAL: from 9.3 pg_xlogdump, renamed in 10. */
  readonly walDumpProgram: 'pg_xlogdump' | 'pg_waldump' | undefined;
  /** From 9.5 a server tells which settings wait for a restart, and what is wrong with its files. */
  readonly tellsPendingRestart: boolean;
  /** From 9.0. */
  readonly hasPgArchivecleanup: boolean;
  /** From 9.1. */
  readonly hasPgBasebackup: boolean;
  /** Of the program's own version. From 9.4 it can put tablespaces elsewhere, and be throttled. */
  readonly pgBasebackupMapsAndThrottles: boolean;
  /** Of the program's own version. From 10 it must be told to send no WAL, and can leave the flushing to others. */
  readonly pgBasebackupSendsWalByDefault: boolean;
  /** Of the program's own version. From 13. */
  readonly pgBasebackupMakesManifest: boolean;
  /** From 9.5. */
  readonly hasPgRewind: boolean;
  /** From 9.0 a connection can carry its program's name. */
  readonly hasApplicationName: boolean;
  /** 9.3 allowed several directories and renamed the parameter. */
  readonly socketDirectoryParameter: 'unix_socket_directory' | 'unix_socket_directories';
  /** Up to 9.0 a backslash escapes in an ordinary string literal, unless the parameter says otherwise. */
  readonly standardConformingStringsDefaultOn: boolean;
}

const oldestNum = 80_400;
const newestNum = 180_000;

/** 8.4 to 18; a newer release is taken for 18 and marked so, an older one is refused. */
export function capabilitiesOf(version: Version): Capabilities {
  const major = majorNum(version);
  if (major < oldestNum) {
    throw new PitrError(`PostgreSQL ${formatVersion(version)} is not supported`, {
      hint: 'PITR tools work with PostgreSQL 8.4 and later.',
    });
  }
  const since = (num: number) => major >= num;
  return {
    version,
    isNewerThanKnown: major > newestNum,
    ...fileFacts(since),
    ...archivingFacts(since),
    ...backupFacts(since),
    ...functionNames(since),
    ...standbyFacts(since),
    ...promotionFacts(since),
    ...targetFacts(since),
    ...programFacts(since),
  };
}

/** `server_version_num` without the minor part. */
function majorNum(version: Version): number {
  return version.num >= 100_000 ? version.num - (version.num % 10_000) : version.num - (version.num % 100);
}
