import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { StandbySettings } from '../../../config/options-standby.ts';
import { messageOf } from '../../../errors.ts';
import { parseWalPosition, type WalPosition, walPositionSql } from '../../../postgres/backup-sql.ts';
import type { LeftTimeline } from '../../../postgres/left-timeline.ts';
import type { WalLayout } from '../../../postgres/lsn.ts';
import { type WalName, walNamesAmong } from '../../../postgres/wal-name.ts';
import { succeeded } from '../../../system/command.ts';
import { exists } from '../../../system/durable.ts';
import type { BackupOptions, StandbyDeps } from '../../deps.ts';
import { readRecord, type StandbyRecord } from '../../host/backup-record/record.ts';
import { findOwnMarks } from '../../host/own-marks.ts';
import { type LocalPlace, observeLocalPlace } from '../../host/place.ts';
import { outsidePgdata } from '../../host/tablespaces.ts';
import { findArchiveCommandProblem } from '../../primary/archive-program.ts';
import {
  type BackupInProgress,
  findExclusiveBackup,
  ownLabelPrefix,
} from '../../primary/backup-in-progress.ts';
import type { Primary, PrimaryFacts } from '../../primary/primary.ts';
import { isRemoteFile, readConfigurationFile, UnreadableFile } from '../../primary/remote-files.ts';
import { hasLeftRecovery } from '../../server/data-directory.ts';
import { findDebianConfigFile } from '../../server/server-configuration.ts';
import { askOwnSlot, type SlotFact } from '../../slot/own-slot.ts';
import { askSlots } from '../../slot/there.ts';
import type { Force } from '../../steps/force.ts';
import { observeRsync, type RsyncAbility } from './copy/rsync-ability.ts';
import { readNotedBackup } from './on-primary/backup-note.ts';
import { observeSource, type SourceFacts } from './source/facts.ts';
import { observeStreaming, type StreamingFacts } from './streaming/facts.ts';

/** A configuration file of the primary that is copied because this host has none. */
export interface MissingConfiguration {
  readonly name: 'postgresql.conf' | 'pg_hba.conf' | 'pg_ident.conf';
  /** On the primary. */
  readonly source: string;
  /** Why the user of the connection cannot read it, if that is seen before the copy. */
  readonly unreadable?: string;
}

/** Everything that a base backup is planned from. */
export interface BackupFacts {
  readonly primary: PrimaryFacts;
  readonly place: LocalPlace;
  readonly record: StandbyRecord;
  /** The reason why the record cannot be read: its contents are then unknown. */
  readonly recordProblem?: string | undefined;
  /** Whether the server in pgdata was last out of recovery. */
  readonly hasLeftRecovery?: boolean;
  /** Undefined if pg_basebackup is used instead. */
  readonly rsync: RsyncAbility | undefined;
  readonly streaming: StreamingFacts | undefined;
  readonly source: SourceFacts | undefined;
  /** Whether setpriv(1) is available: it makes a program end with us, even if we are killed. */
  readonly diesWithParent: boolean;
  readonly missingConfiguration: readonly MissingConfiguration[];
  /** Why PostgreSQL on the primary cannot run the archive program that it names, as far as we can see. */
  readonly archiveCommandProblem: string | undefined;
  /** WAL files in archivedir, listed before `position` was read: a file beyond that position comes from another history. */
  readonly archived: readonly WalName[];
  readonly position: WalPosition | undefined;
  /** Up to 9.5 there is only one backup at a time, and the backup of a killed run is still in progress. */
  readonly backupInProgress: BackupInProgress | undefined;
  /** The label of a backup that an earlier run began on the primary, and perhaps did not end. */
  readonly notedBackup: string | undefined;
  /** Where the label of this run is noted; if not set, in archivedir. */
  readonly noteDirectory?: string;
  /** The label contains the name of the standby and of the run. */
  readonly label: string;
  readonly standby: string;
  readonly force: Force;
  /** Whether to check the pages of the copy. */
  readonly verify: boolean;
  /** The name of its slot depends on it: two hosts may have the same name and pgdata. */
  readonly slotIdentity: string;
  /** The slot on the primary by which the standby will stream. */
  readonly slot: SlotFact;
  /** The l_archivedir of this host, if marks of its promotion stand there. */
  readonly ownMarks?: string | undefined;
}

/** The mark in archivedir that says that the timeline was left on which the primary is. */
export function markOfPrimary({ place, position }: BackupFacts): LeftTimeline | undefined {
  if (place.sentinel.kind !== 'found' || position === undefined) return undefined;
  return place.sentinel.sentinel.left.find(({ timeline }) => timeline === position.timeline);
}

export function layoutOf({ primary }: BackupFacts): WalLayout {
  return {
    segmentSize: primary.settings.walSegmentSize,
    walSegmentSkipsFF: primary.capabilities.walSegmentSkipsFF,
  };
}

const questionMs = 10_000;

async function canDieWithParent(deps: StandbyDeps): Promise<boolean> {
  const command = { program: 'setpriv', args: ['--pdeathsig', 'TERM', '--', 'true'] };
  return succeeded(await deps.run(command, { limitMs: questionMs }));
}

async function findMissingConfiguration(
  deps: StandbyDeps,
  { settings: server, capabilities }: PrimaryFacts,
): Promise<readonly MissingConfiguration[]> {
  const { pgdata, pg_conf, pg_hba_conf } = deps.settings;
  if ((await findDebianConfigFile(pgdata, capabilities.version.major)) !== undefined) return [];
  const files = [
    { name: 'postgresql.conf', source: server.configFile, given: pg_conf },
    { name: 'pg_hba.conf', source: server.hbaFile, given: pg_hba_conf },
    { name: 'pg_ident.conf', source: server.identFile, given: undefined },
  ] as const;
  const missing: MissingConfiguration[] = [];
  for (const { name, source, given } of files) {
    if (source === undefined || given !== undefined || (await exists(join(pgdata, name)))) continue;
    missing.push({ name, source });
  }
  return missing;
}

/** The files are copied last of all: what would fail then is seen now. */
async function readableOrNot({ shell }: Primary, file: MissingConfiguration): Promise<MissingConfiguration> {
  try {
    if (await isRemoteFile(shell, file.source)) await readConfigurationFile(shell, file.source);
    return file;
  } catch (error) {
    if (!(error instanceof UnreadableFile)) throw error;
    return { ...file, unreadable: error.detail ?? error.message };
  }
}

async function observeMissingConfiguration(
  deps: StandbyDeps,
  primary: Primary,
): Promise<readonly MissingConfiguration[]> {
  const missing = await findMissingConfiguration(deps, primary.facts);
  // Where pg_basebackup copies, it brings them, or they are left out with a warning.
  if (primary.protocol !== undefined) return missing;
  return Promise.all(missing.map((file) => readableOrNot(primary, file)));
}

async function listArchived(place: LocalPlace): Promise<readonly WalName[]> {
  return place.hasArchivedir ? walNamesAmong(await readdir(place.archivedir)) : [];
}

/** A record that cannot be read is replaced; but it may have said that a failover is not finished. */
async function observeRecord(
  pgdata: string,
): Promise<Pick<BackupFacts, 'record' | 'recordProblem' | 'hasLeftRecovery'>> {
  try {
    return { record: await readRecord(pgdata), hasLeftRecovery: await hasLeftRecovery(pgdata) };
  } catch (error) {
    return { record: {}, recordProblem: messageOf(error) };
  }
}

/** The labels that a killed -B and a killed drill have noted: a new -B ends the backup that is still in progress. */
async function findNotedBackup(
  { drill_dir }: StandbySettings,
  archivedir: string,
  inProgress: BackupInProgress | undefined,
): Promise<string | undefined> {
  const own = await readNotedBackup(archivedir);
  const drills = drill_dir === undefined ? undefined : await readNotedBackup(drill_dir);
  return drills !== undefined && (own === undefined || drills === inProgress?.label) ? drills : own;
}

export async function observeForBackup(
  deps: StandbyDeps,
  primary: Primary,
  { dryRun, force, verify }: Pick<BackupOptions, 'dryRun' | 'force' | 'verify'>,
  observeConfiguration: typeof observeMissingConfiguration = observeMissingConfiguration,
): Promise<BackupFacts> {
  const { facts, protocol, query, source } = primary;
  const place = await observeLocalPlace(deps, primary, !dryRun);
  const archived = await listArchived(place);
  const { capabilities, settings } = facts;
  const isExclusive = capabilities.backupApi === 'exclusive' && protocol === undefined;
  const record = await observeRecord(place.pgdata);
  const backupInProgress = isExclusive ? await findExclusiveBackup(primary) : undefined;
  const slotIdentity = record.record.slotIdentity ?? deps.nonce();
  const owner = { capabilities, record: { slotIdentity } };
  return {
    primary: facts,
    place,
    ...record,
    slotIdentity,
    rsync: protocol === undefined ? await observeRsync(deps, source ?? primary) : undefined,
    source: source === undefined ? undefined : await observeSource(deps, source, place),
    streaming: protocol === undefined ? undefined : await observeStreaming(deps, primary, place, protocol),
    diesWithParent: await canDieWithParent(deps),
    missingConfiguration: await observeConfiguration(deps, primary),
    archiveCommandProblem: await findArchiveCommandProblem(primary),
    archived,
    position: settings.inRecovery ? undefined : parseWalPosition(await query(walPositionSql(capabilities))),
    backupInProgress,
    notedBackup: await findNotedBackup(deps.settings, place.archivedir, backupInProgress),
    label: `${ownLabelPrefix(deps.hostName)}${deps.nonce()}`,
    standby: deps.hostName,
    force,
    verify,
    slot: await askOwnSlot(deps, owner, () => askSlots(query, capabilities)),
    ownMarks: await findOwnMarks(deps),
  };
}

/** The source and the target of the files, for messages. */
export function describeCopied({ primary, place, source }: BackupFacts): string {
  const tablespaces = outsidePgdata(place.targets).map(
    ({ name, target }) => `, tablespace "${name}" to "${target}"`,
  );
  const from = source === undefined ? primary.dataDirectory : `${source.host}:${source.server.dataDirectory}`;
  return `"${from}" to "${place.pgdata}"${tablespaces.join('')}`;
}
