/**
 * The one place where PostgreSQL's releases are compared. The facts are from the release notes and manuals;
 * `Capabilities` says what each one means.
 */
import type { Capabilities, RecoveryTarget } from './capabilities.ts';
import type { ValueSyntax } from './quoting.ts';
import type { TargetAction } from './recovery-target.ts';

/** Is the release this one, by `server_version_num` without its minor part, or a later one? */
export type Since = (num: number) => boolean;

export function fileFacts(since: Since) {
  return {
    walDirName: since(100_000) ? 'pg_wal' : 'pg_xlog',
    recoveryConf: since(120_000) ? 'signal-files' : 'recovery.conf',
    recoveryConfSyntax: recoveryConfSyntax(since),
    hasAutoConf: since(90_400),
    hasTablespaceMap: since(90_500),
    hasTablespaceVersionFolder: since(90_000),
    hasGroupAccess: since(110_000),
    walSegmentSkipsFF: !since(90_300),
    segmentSizeChosenAtInitdb: since(110_000),
    historyHasLsn: since(90_300),
    archivesFullLastSegmentAtPromotion: !since(90_500),
    helperSqlFile: helperSqlFile(since),
  } as const;
}

function recoveryConfSyntax(since: Since): ValueSyntax {
  if (since(90_100)) return 'parameter';
  return since(90_000) ? 'doubled' : 'plain';
}

function helperSqlFile(since: Since): string {
  if (since(150_000)) return 'cmd_standby.15.sql';
  if (since(100_000)) return 'cmd_standby.10.sql';
  if (since(90_600)) return 'cmd_standby.96.sql';
  return since(90_200) ? 'cmd_standby.92.sql' : 'cmd_standby.sql';
}

export function archivingFacts(since: Since) {
  const replica = since(90_600) ? ['replica'] : [];
  return {
    archiveCommandFatalAbove: since(90_400) ? 125 : 128,
    hasArchiveModeAlways: since(90_500),
    hasArchiveLibrary: since(150_000),
    // 9.6 joined archive and hot_standby into replica and goes on reading the old names.
    walLevelsForArchiving: walLevels(since, ['archive', 'hot_standby', ...replica]),
    walLevelsForHotStandby: walLevels(since, ['hot_standby', ...replica]),
    hasStatArchiver: since(90_400),
    hasStatWalReceiver: since(90_600),
  } as const;
}

function walLevels(since: Since, names: readonly string[]): readonly string[] {
  if (!since(90_000)) return [];
  return since(90_400) ? [...names, 'logical'] : names;
}

export function backupFacts(since: Since) {
  return {
    backupApi: backupApi(since),
    canExclusive: !since(150_000),
    backupPrivilege: backupPrivilege(since),
    checkpointPrivilege: since(150_000) ? 'pg_checkpoint' : 'superuser',
    tablespaceLocation: since(90_200) ? 'pg_tablespace_location' : 'spclocation',
    readFileNeedsLength: !since(90_100),
    hasReadAllSettingsRole: since(100_000),
    hasReadAllStatsRole: since(100_000),
    controlRedoColumn: controlRedoColumn(since),
    hasReadServerFilesRole: since(110_000),
  } as const;
}

function controlRedoColumn(since: Since): Capabilities['controlRedoColumn'] {
  if (!since(90_600)) return undefined;
  return since(100_000) ? 'redo_lsn' : 'redo_location';
}

function backupApi(since: Since): Capabilities['backupApi'] {
  if (since(150_000)) return 'nonexclusive-backup_start';
  return since(90_600) ? 'nonexclusive-start-stop' : 'exclusive';
}

function backupPrivilege(since: Since): Capabilities['backupPrivilege'] {
  if (since(90_600)) return 'granted execute';
  return since(90_100) ? 'replication role' : 'superuser';
}

export function functionNames(since: Since) {
  return {
    switchWalFunction: since(100_000) ? 'pg_switch_wal' : 'pg_switch_xlog',
    currentLsnFunction: since(100_000) ? 'pg_current_wal_lsn' : 'pg_current_xlog_location',
    insertLsnFunction: since(100_000) ? 'pg_current_wal_insert_lsn' : 'pg_current_xlog_insert_location',
    walFileNameFunction: since(100_000) ? 'pg_walfile_name' : 'pg_xlogfile_name',
    walFileNameOfBoundary: since(170_000) ? 'segment behind' : 'segment before',
    isInRecoveryFunction: since(90_000) ? 'pg_is_in_recovery' : undefined,
    promoteFunction: since(120_000) ? 'pg_promote' : undefined,
    controlFunctions: since(90_600),
    readBinaryFileFunction: since(90_100) ? 'pg_read_binary_file' : undefined,
    ...replayFunctionNames(since),
  } as const;
}

function replayFunctionNames(since: Since) {
  const named = <T>(first: number, before10: T, from10: T): T | undefined => {
    if (!since(first)) return undefined;
    return since(100_000) ? from10 : before10;
  };
  return {
    lastReceiveLsnFunction: named(90_000, 'pg_last_xlog_receive_location', 'pg_last_wal_receive_lsn'),
    lastReplayLsnFunction: named(90_000, 'pg_last_xlog_replay_location', 'pg_last_wal_replay_lsn'),
    lastReplayTimestampFunction: since(90_100) ? 'pg_last_xact_replay_timestamp' : undefined,
    replayPauseFunction: named(90_100, 'pg_xlog_replay_pause', 'pg_wal_replay_pause'),
    replayResumeFunction: named(90_100, 'pg_xlog_replay_resume', 'pg_wal_replay_resume'),
    isReplayPausedFunction: named(90_100, 'pg_is_xlog_replay_paused', 'pg_is_wal_replay_paused'),
    transactionStatusFunction: since(100_000) ? 'txid_status' : undefined,
  } as const;
}

export function standbyFacts(since: Since) {
  return {
    standbyMode: since(90_000),
    needsPgStandby: !since(90_000),
    streaming: since(90_000),
    hotStandby: since(90_000),
    hotStandbyDefaultOn: since(100_000),
    hasReplicationRole: since(90_100),
    cascading: since(90_200),
    hasArchiveCleanupCommand: since(90_000),
    hasWalRetrieveRetryInterval: since(90_500),
    hasPrimarySlotName: since(90_400),
    hasRecoveryMinApplyDelay: since(90_400),
    timelineLatestMustBeWritten: !since(120_000),
    primaryConninfoReloads: since(130_000),
    restoreCommandReloads: since(140_000),
    keepWalParameter: keepWalParameter(since),
  };
}

function keepWalParameter(since: Since): Capabilities['keepWalParameter'] {
  if (since(130_000)) return 'wal_keep_size';
  return since(90_000) ? 'wal_keep_segments' : undefined;
}

export function promotionFacts(since: Since) {
  return {
    triggerFile: triggerFile(since),
    hasPgCtlPromote: since(90_100),
    hasSynchronousCommitLocal: since(90_100),
    promotionResumeNeeded: since(90_100) && !since(130_000),
  };
}

function triggerFile(since: Since): Capabilities['triggerFile'] {
  if (!since(90_000) || since(160_000)) return undefined;
  return since(120_000) ? 'promote_trigger_file' : 'trigger_file';
}

export function targetFacts(since: Since) {
  return {
    recoveryTargets: recoveryTargets(since),
    targetAction: targetAction(since),
    targetActions: targetActions(since),
    currentTimelineMustBeLeftOut: !since(120_000),
    onlyOneRecoveryTarget: since(120_000),
    unreachedTargetIsFatal: since(130_000),
  };
}

function recoveryTargets(since: Since): readonly RecoveryTarget[] {
  const targets: RecoveryTarget[] = ['time', 'xid'];
  if (since(90_100)) targets.push('name');
  if (since(90_400)) targets.push('immediate');
  if (since(100_000)) targets.push('lsn');
  return targets;
}

function targetActions(since: Since): readonly TargetAction[] {
  if (since(90_500)) return ['promote', 'pause', 'shutdown'];
  return since(90_100) ? ['promote', 'pause'] : ['promote'];
}

function targetAction(since: Since): Capabilities['targetAction'] {
  if (since(90_500)) return 'recovery_target_action';
  return since(90_100) ? 'pause_at_recovery_target' : undefined;
}

function walDumpProgram(since: Since): Capabilities['walDumpProgram'] {
  if (since(100_000)) return 'pg_waldump';
  return since(90_300) ? 'pg_xlogdump' : undefined;
}

export function programFacts(since: Since) {
  return {
    pgCtlWaitsByDefault: since(100_000),
    hasPgIsready: since(90_300),
    walDumpProgram: walDumpProgram(since),
    tellsPendingRestart: since(90_500),
    hasPgArchivecleanup: since(90_000),
    hasPgBasebackup: since(90_100),
    pgBasebackupMapsAndThrottles: since(90_400),
    pgBasebackupSendsWalByDefault: since(100_000),
    pgBasebackupMakesManifest: since(130_000),
    hasPgRewind: since(90_500),
    hasApplicationName: since(90_000),
    socketDirectoryParameter: since(90_300) ? 'unix_socket_directories' : 'unix_socket_directory',
    standardConformingStringsDefaultOn: since(90_100),
  } as const;
}
