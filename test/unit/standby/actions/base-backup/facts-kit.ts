import { capabilitiesOf } from '../../../../../src/postgres/capabilities.ts';
import type { ControlFile } from '../../../../../src/postgres/control-file.ts';
import { parseLsn } from '../../../../../src/postgres/lsn.ts';
import type { ServerSettings } from '../../../../../src/postgres/server-settings.ts';
import { parseVersion } from '../../../../../src/postgres/version.ts';
import { parseWalName, type WalName } from '../../../../../src/postgres/wal-name.ts';
import type { RsyncAbility } from '../../../../../src/standby/actions/base-backup/copy/rsync-ability.ts';
import type { BackupFacts } from '../../../../../src/standby/actions/base-backup/facts.ts';
import type { BackupRecord } from '../../../../../src/standby/host/backup-record/record.ts';
import type { LocalPlace } from '../../../../../src/standby/host/place.ts';
import type { PrimaryFacts } from '../../../../../src/standby/primary/primary.ts';
import { noForce } from '../../../../../src/standby/steps/force.ts';

export const cluster = '7000000000000000001';

export function primaryFacts(changes: Partial<ServerSettings> = {}, version = '15'): PrimaryFacts {
  const settings: ServerSettings = {
    inRecovery: false,
    dataDirectory: '/primary/main',
    configFile: '/primary/main/postgresql.conf',
    hbaFile: '/primary/main/pg_hba.conf',
    identFile: '/primary/main/pg_ident.conf',
    walSegmentSize: 16 * 1024 * 1024,
    archiveMode: 'on',
    archiveCommand: 'cmd_archiver -C x -F %p',
    archiveLibrary: '',
    dataChecksums: false,
    timeZone: 'UTC',
    standbyLimits: new Map(),
    ...changes,
  };
  return {
    capabilities: capabilitiesOf(parseVersion(version)),
    helperSchema: 'public',
    settings,
    dataDirectory: '/primary/main',
    tablespaces: [],
    systemIdentifier: cluster,
    control: { catalogVersion: 202209061 } as ControlFile,
    timeline: settings.inRecovery ? undefined : 1,
  };
}

export function localPlace(changes: Partial<LocalPlace> = {}): LocalPlace {
  return {
    pgdata: '/standby/main',
    archivedir: '/archive',
    postmaster: { kind: 'none' },
    hasRecord: true,
    content: { kind: 'empty' },
    hasArchivedir: true,
    misspelt: [],
    sentinel: {
      kind: 'found',
      // The primary's pgdata has moved since -I.
      sentinel: {
        systemIdentifier: cluster,
        standby: 'here',
        primaryPgdata: '/x',
        promotedAtTimeline: undefined,
        left: [],
      },
    },
    own: { standby: 'here', command: { program: '/p/bin/cmd_standby', iniFile: '/i' } },
    foreignSegment: undefined,
    targets: [],
    walLink: undefined,
    ownConfiguration: [],
    overlaps: [],
    ownOverlaps: [],
    troubles: [],
    foreignData: [],
    expectedVersion: undefined,
    ...changes,
  };
}

export const rsyncAbility: RsyncAbility = {
  program: { rsync: { program: '/usr/bin/rsync', args: [] }, flags: [], version: 3 },
  comparesNanoseconds: true,
  hasProgress: true,
  bothHaveZstd: true,
  bothHaveLz4: true,
};

export function backupFacts(changes: Partial<BackupFacts> = {}): BackupFacts {
  return {
    primary: primaryFacts(),
    place: localPlace(),
    record: {},
    rsync: rsyncAbility,
    streaming: undefined,
    source: undefined,
    diesWithParent: false,
    missingConfiguration: [],
    slot: { kind: 'none' },
    slotIdentity: 'abc',
    archiveCommandProblem: undefined,
    archived: [],
    position: { lsn: parseLsn('0/5000000'), timeline: 1 },
    backupInProgress: undefined,
    notedBackup: undefined,
    label: 'pitrtools here abc',
    standby: 'here',
    force: noForce,
    verify: false,
    ...changes,
  };
}

export function walNames(...names: readonly string[]): WalName[] {
  return names.map((text) => {
    const name = parseWalName(text);
    if (name.kind === 'not-wal') throw new Error(name.reason);
    return name;
  });
}

export const completeBackup: BackupRecord = {
  status: 'complete',
  label: 'pitrtools here 1',
  systemIdentifier: cluster,
  primaryPgdata: '/primary/main',
  timeline: 1,
  segmentSize: 16 * 1024 * 1024,
  startLsn: '0/4000028',
  startSegment: '000000010000000000000004',
  startTime: '2026-01-01T00:00:00.000000Z',
  timeZone: 'UTC',
};
