import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  type Capabilities,
  capabilitiesOf,
  releasesByAdvance,
  untestedRelease,
} from '../../../src/postgres/capabilities.ts';
import { parseVersion } from '../../../src/postgres/version.ts';

const majors = '8.4 9.0 9.1 9.2 9.3 9.4 9.5 9.6 10 11 12 13 14 15 16 17 18'.split(' ');
const all = majors.map((major) => capabilitiesOf(parseVersion(major)));

/**
 * The table as a reader can check it against the release notes: each fact, and from which major on it has
 * which value.
 */
function changes(): Record<string, string> {
  const keys = Object.keys(all[0] ?? {}).filter((key) => key !== 'version') as (keyof Capabilities)[];
  return Object.fromEntries(keys.map((key) => [key, changesOf(key)]));
}

function changesOf(key: keyof Capabilities): string {
  const values = all.map((capabilities) =>
    capabilities[key] === undefined ? 'none' : JSON.stringify(capabilities[key]),
  );
  return majors
    .flatMap((major, index) =>
      values[index] === values[index - 1] ? [] : [`${major}: ${values[index] ?? ''}`],
    )
    .join(', ');
}

test('the table shows the capabilities of each release', () => {
  expect(changes()).toMatchInlineSnapshot(`
    {
      "backupApi": "8.4: "exclusive", 9.6: "nonexclusive-start-stop", 15: "nonexclusive-backup_start"",
      "canExclusive": "8.4: true, 15: false",
      "canGrantAdminFunctions": "8.4: false, 9.6: true",
      "canStopWithoutWaiting": "8.4: false, 10: true",
      "checkpointPrivilege": "8.4: "superuser", 15: "pg_checkpoint"",
      "comparesWalSenders": "8.4: false, 12: true",
      "controlRedoColumn": "8.4: none, 9.6: "redo_location", 10: "redo_lsn"",
      "currentLsnFunction": "8.4: "pg_current_xlog_location", 10: "pg_current_wal_lsn"",
      "currentTimelineMustBeLeftOut": "8.4: true, 12: false",
      "findsNewTimelines": "8.4: false, 9.1: true",
      "hasArchiveCleanupCommand": "8.4: false, 9.0: true",
      "hasAutoConf": "8.4: false, 9.4: true",
      "hasGroupAccess": "8.4: false, 11: true",
      "hasIcuCollations": "8.4: false, 10: true",
      "hasPgAmcheck": "8.4: false, 14: true",
      "hasPgBasebackup": "8.4: false, 9.1: true",
      "hasPgCtlPromote": "8.4: false, 9.1: true",
      "hasPgRewind": "8.4: false, 9.5: true",
      "hasReadAllSettingsRole": "8.4: false, 10: true",
      "hasReadAllStatsRole": "8.4: false, 10: true",
      "hasRecoveryMinApplyDelay": "8.4: false, 9.4: true",
      "hasRelationPersistence": "8.4: false, 9.1: true",
      "hasReplayLag": "8.4: false, 10: true",
      "hasReplicationRoles": "8.4: false, 9.1: true",
      "hasReplicationSlots": "8.4: false, 9.4: true",
      "hasStatArchiver": "8.4: false, 9.4: true",
      "hasStatReplication": "8.4: false, 9.1: true",
      "hasStatWalReceiver": "8.4: false, 9.6: true",
      "hasSynchronousCommitLocal": "8.4: false, 9.1: true",
      "hasTablespaceMap": "8.4: false, 9.5: true",
      "hasTablespaceVersionFolder": "8.4: false, 9.0: true",
      "hasTemporarySlots": "8.4: false, 10: true",
      "hasWalRetrieveRetryInterval": "8.4: false, 9.5: true",
      "helperSqlFile": "8.4: "cmd_standby.sql", 9.2: "cmd_standby.92.sql", 9.6: "cmd_standby.96.sql", 10: "cmd_standby.10.sql", 15: "cmd_standby.15.sql"",
      "hotStandbyDefaultOn": "8.4: false, 10: true",
      "isInRecoveryFunction": "8.4: none, 9.0: "pg_is_in_recovery"",
      "isReplayPausedFunction": "8.4: none, 9.1: "pg_is_xlog_replay_paused", 10: "pg_is_wal_replay_paused"",
      "isolatingParameters": "8.4: {}",
      "lastReceiveLsnFunction": "8.4: none, 9.0: "pg_last_xlog_receive_location", 10: "pg_last_wal_receive_lsn"",
      "lastReplayLsnFunction": "8.4: none, 9.0: "pg_last_xlog_replay_location", 10: "pg_last_wal_replay_lsn"",
      "lastReplayTimestampFunction": "8.4: none, 9.1: "pg_last_xact_replay_timestamp"",
      "passwordMethod": "8.4: "md5", 10: "scram-sha-256"",
      "pgBasebackupMakesManifest": "8.4: false, 13: true",
      "pgBasebackupMapsAndThrottles": "8.4: false, 9.4: true",
      "pgBasebackupSendsWalByDefault": "8.4: false, 10: true",
      "pgRewindCanSkipFlush": "8.4: false, 12: true",
      "pgRewindLeavesSlots": "8.4: false, 11: true",
      "pgRewindRecovers": "8.4: false, 13: true",
      "readFileNeedsLength": "8.4: true, 9.1: false",
      "recordsCollationVersion": "8.4: false, 15: true",
      "recoveryConf": "8.4: "recovery.conf", 12: "signal-files"",
      "recoveryConfSyntax": "8.4: "plain", 9.0: "doubled", 9.1: "parameter"",
      "recoveryTargets": "8.4: ["time","xid"], 9.1: ["time","xid","name"], 9.4: ["time","xid","name","immediate"], 10: ["time","xid","name","immediate","lsn"]",
      "reloadsPrimaryConninfo": "8.4: false, 13: true",
      "replayPauseFunction": "8.4: none, 9.1: "pg_xlog_replay_pause", 10: "pg_wal_replay_pause"",
      "replayResumeFunction": "8.4: none, 9.1: "pg_xlog_replay_resume", 10: "pg_wal_replay_resume"",
      "replicationLsnSuffix": "8.4: "location", 10: "lsn"",
      "reportsCleanupCommand": "8.4: false, 12: true",
      "slotAdvanceFunction": "8.4: none, 11: "pg_replication_slot_advance"",
      "slotReservesAtOnce": "8.4: false, 9.6: true",
      "standbyMode": "8.4: false, 9.0: true",
      "streaming": "8.4: false, 9.0: true",
      "switchWalFunction": "8.4: "pg_switch_xlog", 10: "pg_switch_wal"",
      "syncsSlots": "8.4: false, 17: true",
      "tablespaceLocation": "8.4: "spclocation", 9.2: "pg_tablespace_location"",
      "tablespaceMapEscapesBackslash": "8.4: false, 14: true",
      "targetAction": "8.4: none, 9.1: "pause_at_recovery_target", 9.5: "recovery_target_action"",
      "targetActions": "8.4: ["promote"], 9.1: ["promote","pause"], 9.5: ["promote","pause","shutdown"]",
      "tellsExclusive": "8.4: false, 9.3: true, 15: false",
      "tellsPendingRestart": "8.4: false, 9.5: true",
      "tellsSenderHost": "8.4: false, 11: true",
      "tellsSlotProcess": "8.4: false, 9.5: true",
      "tellsSlotWalStatus": "8.4: false, 13: true",
      "timelineLatestMustBeWritten": "8.4: true, 12: false",
      "transactionStatusFunction": "8.4: none, 10: "txid_status"",
      "triggerFile": "8.4: none, 9.0: "trigger_file", 12: "promote_trigger_file", 16: none",
      "unreachedTargetIsFatal": "8.4: false, 13: true",
      "walDirName": "8.4: "pg_xlog", 10: "pg_wal"",
      "walDumpProgram": "8.4: none, 9.3: "pg_xlogdump", 10: "pg_waldump"",
      "walFileNameFunction": "8.4: "pg_xlogfile_name", 10: "pg_walfile_name"",
      "walFileNameOfBoundary": "8.4: "segment before", 17: "segment behind"",
      "walLevel": "8.4: none, 9.0: "hot_standby", 9.6: "replica"",
      "walSegmentSkipsFF": "8.4: true, 9.3: false",
    }
  `);
});

test('every release has a value for each capability', () => {
  const keys = all.map((capabilities) => Object.keys(capabilities).sort().join());
  expect(new Set(keys).size).toBe(1);
});

test('a minor release has the capabilities of its major release', () => {
  const { version, ...facts } = capabilitiesOf(parseVersion('9.6.24'));
  expect(version.num).toBe(90624);
  expect({ ...facts, version: parseVersion('9.6') }).toEqual(capabilitiesOf(parseVersion('9.6')));
});

test('a release newer than this program has those of the newest known one', () => {
  const newer = capabilitiesOf(parseVersion('19beta1'));
  const newest = capabilitiesOf(parseVersion('18.4'));
  expect(newer).toEqual({ ...newest, version: newer.version });
});

test.each([
  ['19beta1', '19'],
  ['19.0', '19'],
  ['20devel', '20'],
])('nothing is claimed of %s, with which nothing was tested', (text, major) => {
  expect(untestedRelease({ version: parseVersion(text) })).toBe(
    `PostgreSQL ${major} is newer than 18, the newest release with which this version of pitrtools was tested: whether everything works with it is not known`,
  );
});

test.each(['8.4', '9.6.24', '18.4'])('%s is not said to be untested', (text) => {
  expect(untestedRelease({ version: parseVersion(text) })).toBeUndefined();
});

test.each(['8.3', '8.3.23', '7.4'])('PostgreSQL %s is refused', (text) => {
  expect(() => capabilitiesOf(parseVersion(text))).toThrow(
    `PostgreSQL ${text.startsWith('8.3.') ? text : `${text}.0`} is not supported`,
  );
});

describe('the helper functions', () => {
  test.each(all.map(({ version, helperSqlFile }) => [version.major, helperSqlFile]))(
    'of %s are in %s',
    (_, file) => {
      expect(existsSync(join(import.meta.dirname, '../../../scripts', file))).toBe(true);
    },
  );
});

test('the minor releases that keep WAL over which a slot was moved', () => {
  const keeping = [110_000, 110_008, 120_000, 120_003];
  const releasing = [110_009, 110_022, 120_004, 120_022, 130_000, 180_001];
  expect(keeping.map(releasesByAdvance)).not.toContain(true);
  expect(releasing.map(releasesByAdvance)).not.toContain(false);
});
