import { join } from 'node:path';
import { settingsIn, withSettings } from '../../postgres/settings-file.ts';
import { exists, fsyncPath, readIfExists, removeDurably, writeDurably } from '../../system/durable.ts';
import { symlink } from '../../system/files.ts';
import { changeRecord, readRecord, type SettingsRecord } from '../host/backup-record/record.ts';
import type { Server } from '../server/server.ts';
import { writeForServer } from '../server/server-modes.ts';
import { delayParameter, recoveryConfText, type RecoverySettings } from './settings.ts';

const autoConf = 'postgresql.auto.conf';
const signalFiles = ['standby.signal', 'recovery.signal'] as const;

async function changeAutoConf(
  pgdata: string,
  set: ReadonlyMap<string, string>,
  remove: readonly string[],
): Promise<void> {
  const path = join(pgdata, autoConf);
  const before = (await readIfExists(path))?.toString('utf8') ?? '';
  const after = withSettings(before, { set, remove: new Set(remove) });
  if (after !== before) await writeForServer(pgdata, path, after);
}

/** The server reads recovery.conf only in pgdata. If the INI file names another place, pgdata gets a link to that file. */
async function writeRecoveryConf(pgdata: string, path: string, text: string): Promise<void> {
  const inPgdata = join(pgdata, 'recovery.conf');
  if (path === inPgdata) {
    await writeForServer(pgdata, path, text);
    return;
  }
  await writeDurably(path, text);
  await removeDurably(inPgdata);
  await symlink(path, inPgdata);
  await fsyncPath(pgdata);
}

async function writeSignal(pgdata: string, wanted: RecoverySettings['signal']): Promise<void> {
  // Both must never exist: a promotion would leave recovery.signal behind, and the next restart would begin another timeline.
  for (const name of signalFiles) if (name !== wanted) await removeDurably(join(pgdata, name));
  if (wanted !== undefined) await writeForServer(pgdata, join(pgdata, wanted), '');
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
  const { settings, ownDelay } = await readRecord(pgdata);
  const isNamed = settings?.names.includes(delayParameter) === true;
  const isOurs = parameters.has(delayParameter);
  if (!isNamed && !isOurs) return new Map();
  const text = (await readIfExists(join(pgdata, autoConf)))?.toString('utf8') ?? '';
  const isAway = settings?.mode !== 'standby' && ownDelay !== undefined;
  const inFile = isNamed && ownDelay === undefined ? undefined : settingsIn(text).get(delayParameter);
  const own = isAway ? ownDelay : inFile;
  // The INI file's delay replaces it for good.
  const kept = mode === 'standby' && isOurs ? undefined : own;
  if (kept !== ownDelay) await changeRecord(pgdata, { ownDelay: kept });
  return mode === 'standby' && kept !== undefined ? new Map([[delayParameter, kept]]) : new Map();
}

/** The parameters that this run and earlier ones set. They are recorded before the file changes, so that a crash loses none. */
async function recordNames(pgdata: string, mode: SettingsRecord['mode'], names: readonly string[]) {
  const earlier = (await readRecord(pgdata)).settings?.names ?? [];
  const all = [...new Set([...earlier, ...names])];
  const stands = mode === 'standby' ? { recoveredTo: undefined } : {};
  await changeRecord(pgdata, { settings: { mode, names: all, file: autoConf }, ...stands });
  return earlier;
}

/** Puts the settings into force for the next start. The user's own lines stay as they are. */
export async function writeRecoverySettings(
  server: Server,
  mode: SettingsRecord['mode'],
  settings: RecoverySettings,
): Promise<void> {
  const { deps, pgdata, capabilities } = server;
  const own = await ownDelayToKeep(pgdata, mode, settings);
  const earlier = await recordNames(pgdata, mode, [...settings.parameters.keys()]);
  if (capabilities.hasAutoConf)
    await changeAutoConf(pgdata, new Map([...own, ...settings.parameters]), earlier);
  if (capabilities.recoveryConf === 'signal-files') {
    await writeSignal(pgdata, settings.signal);
    return;
  }
  const text = recoveryConfText(capabilities, settings.recoveryConf);
  await writeRecoveryConf(pgdata, deps.settings.recovery_conf, text);
}

/** Removes what `writeRecoverySettings` wrote, and nothing else, once the server is out of recovery. */
export async function clearRecoverySettings(server: Server): Promise<void> {
  const { deps, pgdata, capabilities } = server;
  const { settings: { names } = { names: [] as const }, ownDelay } = await readRecord(pgdata);
  const own = new Map(ownDelay === undefined ? [] : [[delayParameter, ownDelay]]);
  if (capabilities.hasAutoConf) await changeAutoConf(pgdata, own, names);
  if (capabilities.recoveryConf === 'signal-files') await writeSignal(pgdata, undefined);
  else await removeRecoveryConf(pgdata, deps.settings.recovery_conf);
  await changeRecord(pgdata, { settings: undefined, recoveredTo: undefined, ownDelay: undefined });
}

/** The server renames its recovery.conf itself; the target of a link stays, and may contain a password. */
async function removeRecoveryConf(pgdata: string, path: string): Promise<void> {
  for (const file of new Set([join(pgdata, 'recovery.conf'), path]))
    if (await exists(file)) await removeDurably(file);
}
