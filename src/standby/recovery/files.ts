import { basename, dirname, join } from 'node:path';
import { settingsIn, withSettings } from '../../postgres/settings-file.ts';
import { exists, fsyncPath, readIfExists, removeDurably, writeDurably } from '../../system/durable.ts';
import { removeFile, rename, symlink } from '../../system/files.ts';
import { isSameDirectory } from '../../system/processes.ts';
import { changeRecord, readRecord, type SettingsRecord } from '../host/backup-record/record.ts';
import type { Server } from '../server/server.ts';
import { writeForServer } from '../server/server-modes.ts';
import { ownDelayOf, writtenNames } from './own-delay.ts';
import { delayParameter, recoveryConfText, type RecoverySettings } from './settings.ts';

const autoConf = 'postgresql.auto.conf';
const signalFiles = ['standby.signal', 'recovery.signal'] as const;

/** Our values are UTF-8. The user's lines may be in any encoding, and must keep their bytes (latin1). */
export async function changeAutoConf(
  pgdata: string,
  set: ReadonlyMap<string, string>,
  remove: readonly string[],
): Promise<void> {
  const path = join(pgdata, autoConf);
  const before = (await readIfExists(path))?.toString('latin1') ?? '';
  const ours = [...set].map(([name, value]) => [name, Buffer.from(value).toString('latin1')] as const);
  const after = withSettings(before, { set: new Map(ours), remove: new Set(remove) });
  if (after !== before) await writeForServer(pgdata, path, Buffer.from(after, 'latin1'));
}

/** The server reads recovery.conf only in pgdata. If the INI file names another place, pgdata gets a link to that file. */
async function writeRecoveryConf(pgdata: string, path: string, text: string): Promise<void> {
  const inPgdata = join(pgdata, 'recovery.conf');
  // The INI file may name pgdata by another path, such as that of a link.
  if (basename(path) === basename(inPgdata) && (await isSameDirectory(dirname(path), pgdata))) {
    await writeForServer(pgdata, inPgdata, text);
    return;
  }
  await writeDurably(path, text);
  // Without any recovery.conf, a server that is started at that moment would open.
  const next = `${inPgdata}.pitrtools`;
  await removeFile(next);
  await symlink(path, next);
  await rename(next, inPgdata);
  await fsyncPath(pgdata);
}

async function writeSignal(pgdata: string, wanted: RecoverySettings['signal']): Promise<void> {
  // Without either, a server that is started at that moment would open. With both it is a standby.
  if (wanted !== undefined) await writeForServer(pgdata, join(pgdata, wanted), '');
  // But a promotion would leave recovery.signal behind, and the next restart would begin another timeline.
  for (const name of signalFiles) if (name !== wanted) await removeDurably(join(pgdata, name));
}

/**
 * A delay that the user has set by ALTER SYSTEM: a recovery to a target must run without it, and the standby gets it back.
 * The record keeps it meanwhile.
 *
 * @returns the settings to write beside ours
 */
async function ownDelayToKeep(
  pgdata: string,
  mode: SettingsRecord['mode'],
  { parameters }: RecoverySettings,
): Promise<ReadonlyMap<string, string>> {
  const record = await readRecord(pgdata);
  const isNamed = writtenNames(record).includes(delayParameter);
  const isOurs = parameters.has(delayParameter);
  if (!isNamed && !isOurs) return new Map();
  const text = (await readIfExists(join(pgdata, autoConf)))?.toString('utf8') ?? '';
  // The INI file's delay replaces it for good.
  const kept = mode === 'standby' && isOurs ? undefined : ownDelayOf(record, text);
  if (kept !== record.ownDelay) await changeRecord(pgdata, { ownDelay: kept });
  return mode === 'standby' && kept !== undefined ? new Map([[delayParameter, kept]]) : new Map();
}

/**
 * `postgresql.auto.conf` has one value for a parameter, and a recovery needs ours. Values are not shown: a primary_conninfo may
 * contain a password.
 *
 * @param earlier the parameters that earlier runs set
 */
async function reportReplaced(
  { deps, pgdata }: Server,
  { parameters }: RecoverySettings,
  earlier: readonly string[],
): Promise<void> {
  // In the copy of a drill, the standby's own values are those of another directory.
  if (deps.drillParameters !== undefined) return;
  const there = settingsIn((await readIfExists(join(pgdata, autoConf)))?.toString('utf8') ?? '');
  const replaced = [...parameters].filter(([name, value]) => {
    const found = there.get(name);
    return found !== undefined && found !== value && name !== delayParameter && !earlier.includes(name);
  });
  if (replaced.length === 0) return;
  const names = replaced.map(([name]) => name).join(', ');
  deps.log.notice(
    `postgresql.auto.conf sets ${names}, not by us: replaced here, and removed when this server is promoted`,
  );
}

interface Recorded {
  /** The parameters that earlier runs set. */
  readonly earlier: readonly string[];
  readonly settings: SettingsRecord;
}

/**
 * The parameters that this run and earlier ones set. They are recorded before the file changes, so that a crash loses
 * none. The mode `standby` comes after it: until then the file may lack the user's own delay, which the record has. In
 * other modes a delay that a failover has dropped is one of them, and the record keeps it as that of the standby.
 */
async function recordNames(
  pgdata: string,
  mode: SettingsRecord['mode'],
  names: readonly string[],
): Promise<Recorded> {
  const record = await readRecord(pgdata);
  const { settings: before } = record;
  const earlier = writtenNames(record);
  const isStandby = mode === 'standby';
  const settled = isStandby ? (before?.names ?? []) : earlier;
  const settings = { mode, names: [...new Set([...settled, ...names])], file: autoConf };
  const until = isStandby ? (before?.mode ?? mode) : mode;
  await changeRecord(pgdata, {
    settings: { ...settings, mode: until },
    pausedServer: undefined,
    ...(isStandby ? {} : { droppedDelay: undefined }),
  });
  return { earlier, settings };
}

async function writeFiles(
  { deps, pgdata, capabilities }: Server,
  { parameters, signal, recoveryConf }: RecoverySettings,
  own: ReadonlyMap<string, string>,
  earlier: readonly string[],
): Promise<void> {
  // With recovery.signal and a standby's restore_command the server would open where the archive ends.
  const isSignalFirst = signal === 'standby.signal';
  if (isSignalFirst) await writeSignal(pgdata, signal);
  if (capabilities.hasAutoConf) await changeAutoConf(pgdata, new Map([...own, ...parameters]), earlier);
  if (capabilities.recoveryConf === 'signal-files') {
    if (!isSignalFirst) await writeSignal(pgdata, signal);
    return;
  }
  await writeRecoveryConf(pgdata, deps.settings.recovery_conf, recoveryConfText(capabilities, recoveryConf));
}

/** Puts the settings into force for the next start. The user's own lines stay as they are. */
export async function writeRecoverySettings(
  server: Server,
  mode: SettingsRecord['mode'],
  settings: RecoverySettings,
): Promise<void> {
  const { pgdata } = server;
  const own = await ownDelayToKeep(pgdata, mode, settings);
  const recorded = await recordNames(pgdata, mode, [...settings.parameters.keys()]);
  await reportReplaced(server, settings, recorded.earlier);
  await writeFiles(server, settings, own, recorded.earlier);
  const atEnd = { settings: recorded.settings, recoveredTo: undefined, droppedDelay: undefined };
  if (mode === 'standby') await changeRecord(pgdata, atEnd);
}

/** Removes what `writeRecoverySettings` wrote, and nothing else, once the server is out of recovery. */
export async function clearRecoverySettings(server: Server): Promise<void> {
  const { deps, pgdata, capabilities } = server;
  const record = await readRecord(pgdata);
  const names = writtenNames(record);
  const text = (await readIfExists(join(pgdata, autoConf)))?.toString('utf8') ?? '';
  const ownDelay = names.includes(delayParameter) ? ownDelayOf(record, text) : undefined;
  const own = new Map(ownDelay === undefined ? [] : [[delayParameter, ownDelay]]);
  if (capabilities.hasAutoConf) await changeAutoConf(pgdata, own, names);
  if (capabilities.recoveryConf === 'signal-files') await writeSignal(pgdata, undefined);
  else await removeRecoveryConf(pgdata, deps.settings.recovery_conf);
  await changeRecord(pgdata, {
    settings: undefined,
    recoveredTo: undefined,
    ownDelay: undefined,
    droppedDelay: undefined,
    pausedServer: undefined,
  });
}

/** The server renames its recovery.conf itself; the target of a link stays, and may contain a password. */
async function removeRecoveryConf(pgdata: string, path: string): Promise<void> {
  for (const file of new Set([join(pgdata, 'recovery.conf'), path]))
    if (await exists(file)) await removeDurably(file);
}
