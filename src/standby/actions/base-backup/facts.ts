import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseWalPosition, walPositionSql, type WalPosition } from '../../../postgres/backup-sql.ts';
import type { WalLayout } from '../../../postgres/lsn.ts';
import { parseWalName, type WalName } from '../../../postgres/wal-name.ts';
import { describeResult, succeeded } from '../../../system/command.ts';
import { exists } from '../../../system/durable.ts';
import { refusal } from '../../../errors.ts';
import { requireProgram } from '../../../system/find-program.ts';
import type { RsyncProgram } from '../../../system/rsync.ts';
import {
  findExclusiveBackup,
  ownLabelPrefix,
  type BackupInProgress,
} from '../../primary/backup-in-progress.ts';
import type { StandbyDeps } from '../../deps.ts';
import type { Force } from '../../steps/force.ts';
import { observeLocalPlace, type LocalPlace } from '../../host/place.ts';
import type { Primary, PrimaryFacts } from '../../primary/primary.ts';
import { runRemotely } from '../../primary/remote-files.ts';
import { readRecord, type StandbyRecord } from '../../backup-record/record.ts';
import { findArchiveCommandProblem } from '../../primary/archive-program.ts';
import { readNotedBackup } from './on-primary/backup-note.ts';
import { observeSource, type SourceFacts } from './source/facts.ts';
import { observeStreaming, type StreamingFacts } from './streaming/facts.ts';
import { findDebianConfigFile } from '../../server/server-configuration.ts';

/** A configuration file of the primary that is copied because this host has none. */
export interface MissingConfiguration {
  readonly name: 'postgresql.conf' | 'pg_hba.conf' | 'pg_ident.conf';
  /** On the primary. */
  readonly source: string;
}

/** Everything that a base backup is planned from. */
export interface BackupFacts {
  readonly primary: PrimaryFacts;
  readonly place: LocalPlace;
  readonly record: StandbyRecord;
  /** Undefined where pg_basebackup takes its place. */
  readonly rsync: RsyncAbility | undefined;
  readonly streaming: StreamingFacts | undefined;
  readonly source: SourceFacts | undefined;
  readonly missingConfiguration: readonly MissingConfiguration[];
  /** Why PostgreSQL there cannot archive by the program that it names, as far as that can be seen. */
  readonly archiveCommandProblem: string | undefined;
  /** WAL files in archivedir, read before `position`: what lies beyond it comes from another history. */
  readonly archived: readonly WalName[];
  readonly position: WalPosition | undefined;
  /** Up to 9.5 there can be only one backup at a time, and that of a killed run is still in progress. */
  readonly backupInProgress: BackupInProgress | undefined;
  /** The label of the backup that an earlier run began there and, as far as it knew, did not end. */
  readonly notedBackup: string | undefined;
  /** It names the standby and the run. */
  readonly label: string;
  readonly standby: string;
  readonly force: Force;
  /** Whether the copy's pages are to be checked. */
  readonly verify: boolean;
}

export function layoutOf({ primary }: BackupFacts): WalLayout {
  return {
    segmentSize: primary.settings.walSegmentSize,
    walSegmentSkipsFF: primary.capabilities.walSegmentSkipsFF,
  };
}

export interface RsyncAbility {
  readonly program: RsyncProgram;
  /** From 3.1.3 files can be compared by nanoseconds; whole seconds miss a change within the same second. */
  readonly comparesNanoseconds: boolean;
  /** Both ends are of 3.1 or later. */
  readonly hasProgress: boolean;
  /** Both ends can compress by zstd (3.2 and later, where it was built in). */
  readonly bothHaveZstd: boolean;
  /** setpriv(1) can make it end with us, even when we are killed. */
  readonly diesWithParent: boolean;
}

const questionMs = 10_000;

export function parseRsyncVersion(
  text: string,
): { readonly major: number; readonly num: number } | undefined {
  const match = /version v?(\d+)\.(\d+)\.(\d+)/.exec(text);
  if (match === null) return undefined;
  const [major = 0, minor = 0, patch = 0] = match.slice(1).map(Number);
  return { major, num: major * 10_000 + minor * 100 + patch };
}

interface RsyncRelease {
  readonly major: number;
  readonly num: number;
  readonly hasZstd: boolean;
}

function releaseIn(text: string): RsyncRelease | undefined {
  const version = parseRsyncVersion(text);
  return version === undefined ? undefined : { ...version, hasZstd: /\bzstd\b/.test(text) };
}

/** The command that the user's flags start as rsync on the primary. */
export function remoteRsync(flags: readonly string[]): string {
  const index = flags.findIndex((flag) => flag.startsWith('--rsync-path'));
  const flag = flags[index];
  if (flag === undefined) return 'rsync';
  return flag === '--rsync-path' ? (flags[index + 1] ?? 'rsync') : flag.slice('--rsync-path='.length);
}

async function observeRemoteRsync(
  { settings }: StandbyDeps,
  { shell }: Primary,
): Promise<RsyncRelease | undefined> {
  const command = remoteRsync(settings.rsync_flags);
  const { status, lines } = await runRemotely(shell, `${command} --version 2>&1`);
  const missing = status === 127;
  if (!missing) return releaseIn(lines.join('\n'));
  throw refusal(`there is no "${command}" on the primary ${shell.target.host}`, {
    detail: lines.join('\n'),
    hint: 'Install rsync there, or name it by --rsync-path=… in rsync_flags.',
  });
}

async function canDieWithParent(deps: StandbyDeps): Promise<boolean> {
  const command = { program: 'setpriv', args: ['--pdeathsig', 'TERM', '--', 'true'] };
  return succeeded(await deps.run(command, { limitMs: questionMs }));
}

async function observeRsync(deps: StandbyDeps, primary: Primary): Promise<RsyncAbility> {
  const { settings } = deps;
  const rsync = await requireProgram('rsync', settings.rsync, settings.includepath);
  const [result, there, diesWithParent] = await Promise.all([
    deps.run({ ...rsync, args: [...rsync.args, '--version'] }, { limitMs: questionMs }),
    observeRemoteRsync(deps, primary),
    canDieWithParent(deps),
  ]);
  const here = succeeded(result) ? releaseIn(result.stdout) : undefined;
  if (here === undefined)
    deps.log.warning(`cannot determine the version of "${rsync.program}": ${describeResult(result)}`);
  const older = Math.min(here?.num ?? 0, there?.num ?? 0);
  return {
    program: { rsync, flags: settings.rsync_flags, version: (here?.major ?? 3) < 3 ? 2 : 3 },
    comparesNanoseconds: (here?.num ?? 0) >= 30_103,
    hasProgress: older >= 30_100,
    bothHaveZstd: older >= 30_200 && here?.hasZstd === true && there?.hasZstd === true,
    diesWithParent,
  };
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

async function listArchived(place: LocalPlace): Promise<readonly WalName[]> {
  if (!place.hasArchivedir) return [];
  const names = (await readdir(place.archivedir)).map(parseWalName);
  return names.filter((name): name is WalName => name.kind !== 'not-wal');
}

export async function observeForBackup(
  deps: StandbyDeps,
  primary: Primary,
  options: { readonly dryRun: boolean; readonly force: Force; readonly verify: boolean },
): Promise<BackupFacts> {
  const { facts } = primary;
  const place = await observeLocalPlace(deps, primary, !options.dryRun);
  const archived = await listArchived(place);
  const { capabilities, settings } = facts;
  return {
    primary: facts,
    place,
    // A record that cannot be read is replaced: it describes what this backup replaces.
    record: await readRecord(place.pgdata).catch(() => ({})),
    rsync: primary.protocol === undefined ? await observeRsync(deps, primary.source ?? primary) : undefined,
    source: primary.source === undefined ? undefined : await observeSource(deps, primary.source, place),
    streaming:
      primary.protocol === undefined
        ? undefined
        : await observeStreaming(deps, primary, place, primary.protocol, await canDieWithParent(deps)),
    missingConfiguration: await findMissingConfiguration(deps, facts),
    archiveCommandProblem: await findArchiveCommandProblem(primary),
    archived,
    position: settings.inRecovery
      ? undefined
      : parseWalPosition(await primary.query(walPositionSql(capabilities))),
    backupInProgress:
      capabilities.backupApi === 'exclusive' && primary.protocol === undefined
        ? await findExclusiveBackup(primary)
        : undefined,
    notedBackup: await readNotedBackup(place.archivedir),
    label: `${ownLabelPrefix(deps.hostName)}${deps.nonce()}`,
    standby: deps.hostName,
    force: options.force,
    verify: options.verify,
  };
}
