import { parseBackupLabel } from '../../../src/postgres/backup-label.ts';
import { capabilitiesOf } from '../../../src/postgres/capabilities.ts';
import type { ControlFile } from '../../../src/postgres/control-file.ts';
import { parseVersion } from '../../../src/postgres/version.ts';
import type { LocalFacts } from '../../../src/standby/actions/failover/facts.ts';
import type { RecoveryPlace } from '../../../src/standby/recovery/settings.ts';
import type { DataDirectory } from '../../../src/standby/server/data-directory.ts';
import { nobodyAsked } from '../../../src/standby/siblings/observe.ts';

export const label = parseBackupLabel(
  'START WAL LOCATION: 0/3000028 (file 000000010000000000000003)\nCHECKPOINT LOCATION: 0/3000060\nSTART TIME: 2024-01-01 00:00:00 UTC\nLABEL: x\n',
  'backup_label',
);

export function controlFile(changes: Partial<ControlFile> = {}): ControlFile {
  return {
    systemIdentifier: '1',
    catalogVersion: 202209061,
    state: 'in-archive-recovery',
    time: 0n,
    checkpointLsn: 0x5000060n,
    redoLsn: 0x5000028n,
    timeline: 1,
    checksum: 0x1234,
    walSegmentSize: 16 * 1024 * 1024,
    ...changes,
  };
}

/** A standby that ran before and does not run now. */
export function dataDirectory(major: string, changes: Partial<DataDirectory> = {}): DataDirectory {
  return {
    pgdata: '/d',
    capabilities: capabilitiesOf(parseVersion(major)),
    control: controlFile(),
    controlProblem: undefined,
    record: {},
    isIncomplete: false,
    backupLabel: undefined,
    hasRecoverySettings: false,
    ...changes,
  };
}

export const place: RecoveryPlace = {
  launcher: '/p/bin/cmd_standby',
  archivedir: '/a',
  iniFile: '/i',
  pgStandby: undefined,
  pgArchivecleanup: undefined,
  keepsStreamed: false,
  ownCleanup: false,
  ownRetryInterval: false,
  ownDelay: false,
  ownTargets: [],
};

export const configuration = { configFile: '/d/postgresql.conf', parameters: new Map(), inFile: new Map() };

export const archive = {
  directory: '/a',
  sentinel: {
    systemIdentifier: '1',
    standby: 'bitarena-clone',
    primaryPgdata: undefined,
    promotedAtTimeline: undefined,
    left: [],
  },
  files: [],
};

export function localFacts(major: string, changes: Partial<LocalFacts> = {}): LocalFacts {
  return {
    directory: dataDirectory(major),
    state: { kind: 'recovering', answers: true, progress: '' },
    isPaused: false,
    delay: undefined,
    login: { kind: 'proved' },
    archive: { kind: 'archive', archive },
    replayProblems: [],
    archivedEnd: undefined,
    isAllReplayed: false,
    guard: undefined,
    place,
    configuration,
    standbyCopies: [],
    failoverConf: undefined,
    triggerFile: undefined,
    action: undefined,
    lowLimits: [],
    memory: undefined,
    hasKeptSlot: false,
    hasOwnStart: false,
    ...changes,
  };
}

/** No other standby is known. */
export const alone = { siblings: nobodyAsked, takesRole: false, fence: { kind: 'none' } } as const;
