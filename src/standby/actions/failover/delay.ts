import { join } from 'node:path';
import { messageOf, PitrError } from '../../../errors.ts';
import { sqlLiteral } from '../../../postgres/quoting.ts';
import { readIfExists } from '../../../system/durable.ts';
import { readPostmaster } from '../../../system/postmaster.ts';
import { reloadServer } from '../../follow/reload.ts';
import { changeRecord, type StandbyRecord } from '../../host/backup-record/record.ts';
import { changeAutoConf } from '../../recovery/files.ts';
import { isDelay, noDelay, ownDelayOf } from '../../recovery/own-delay.ts';
import { delayParameter } from '../../recovery/settings.ts';
import type { Server } from '../../server/server.ts';
import type { ServerConfiguration } from '../../server/server-configuration.ts';
import { mustAnswer, rowsOf, type ServerState } from '../../server/server-state.ts';

/** A standby that delays its replay on purpose. */
export type ReplayDelay =
  /** The delay is in recovery.conf, which a server reads only at its start. A promotion ends it. */
  | { readonly kind: 'until-promotion' }
  | {
      readonly kind: 'setting';
      readonly value: string;
      /** The value in `postgresql.auto.conf`, if the delay comes from there. */
      readonly own: string | undefined;
      /** We wrote it there by the INI file, and it goes with the other recovery settings. */
      readonly isOurs: boolean;
      /** The user's own, which ours hides: it is in force once the standby is started without ours. */
      readonly hidden?: SettingDelay | undefined;
    };

export type SettingDelay = Extract<ReplayDelay, { readonly kind: 'setting' }>;

async function inRecoveryConf({ pgdata }: Server): Promise<ReplayDelay | undefined> {
  const text = (await readIfExists(join(pgdata, 'recovery.conf')))?.toString('utf8') ?? '';
  return new RegExp(`^\\s*${delayParameter}\\b`, 'm').test(text) ? { kind: 'until-promotion' } : undefined;
}

type Configuration = Pick<ServerConfiguration, 'parameters' | 'inFile'>;

/**
 * The user's own delay: a server that is stopped, or whose delay a killed run has dropped, does not show it. The standby
 * that is started from here has it. That of the INI file is none of these: a failover does not write it.
 */
async function inFiles(
  { pgdata }: Server,
  record: StandbyRecord,
  { parameters, inFile }: Configuration,
): Promise<SettingDelay | undefined> {
  const text = (await readIfExists(join(pgdata, 'postgresql.auto.conf')))?.toString('utf8') ?? '';
  const own = ownDelayOf(record, text);
  const value = parameters.get(delayParameter) ?? own ?? inFile.get(delayParameter);
  return isDelay(value) ? { kind: 'setting', value, own, isOurs: false } : undefined;
}

/** The delay of a standby that answers; undefined if it has none now. */
async function inForce(server: Server, record: StandbyRecord): Promise<SettingDelay | undefined> {
  const rows = await rowsOf(
    server,
    `SELECT current_setting(name) AS value, sourcefile FROM pg_settings WHERE name = '${delayParameter}' AND setting <> '0'`,
  );
  const row = rows?.[0];
  if (row === undefined) return undefined;
  const value = String(row['value']);
  const isOwn = String(row['sourcefile']).endsWith('postgresql.auto.conf');
  const isNamed = record.settings?.names.includes(delayParameter) === true;
  // After a recovery to a target the name is in the record, beside the user's own delay.
  const isOurs = isOwn && isNamed && record.ownDelay === undefined;
  return { kind: 'setting', value, own: isOwn ? value : undefined, isOurs };
}

/** @param configuration the one with which the standby is started */
export async function observeDelay(
  server: Server,
  state: ServerState,
  record: StandbyRecord,
  configuration: Configuration,
): Promise<ReplayDelay | undefined> {
  const { capabilities } = server;
  if (!capabilities.hasRecoveryMinApplyDelay || state.kind === 'production') return undefined;
  const answers = state.kind === 'recovering' && state.answers;
  if (capabilities.recoveryConf === 'recovery.conf') return answers ? inRecoveryConf(server) : undefined;
  const delay = answers ? await inForce(server, record) : undefined;
  if (delay?.isOurs === false) return delay;
  const own = await inFiles(server, record, configuration);
  return delay === undefined || own === undefined ? (delay ?? own) : { ...delay, hidden: own };
}

/**
 * ALTER SYSTEM needs a superuser, and 17 can forbid it to them too (allow_alter_system). The steps before this one may have
 * fenced the primary by then, and the file is that of this system user.
 */
async function setInFile(server: Server, value: string | undefined): Promise<void> {
  const change = new Map(value === undefined ? [] : [[delayParameter, value]]);
  await changeAutoConf(server.pgdata, change, [delayParameter]);
  // One that has ended reads the file when it is started.
  if ((await readPostmaster(server.pgdata)).kind === 'running') await reloadServer(server);
}

/** @param value undefined to reset it */
async function setDelay(server: Server, value: string | undefined): Promise<void> {
  try {
    await setBySql(server, value);
  } catch (error) {
    if (!(error instanceof PitrError)) throw error;
    server.deps.signal.throwIfAborted();
    server.deps.log.debug(`${messageOf(error)}: writing it into postgresql.auto.conf`);
    await setInFile(server, value);
  }
}

/** @param value undefined to reset it */
async function setBySql(server: Server, value: string | undefined): Promise<void> {
  const change =
    value === undefined
      ? `ALTER SYSTEM RESET ${delayParameter}`
      : `ALTER SYSTEM SET ${delayParameter} = ${sqlLiteral(value)}`;
  await mustAnswer(server, `cannot set ${delayParameter} to ${value ?? 'its former value'}`, async (sql) => {
    await sql(change);
    await sql('SELECT pg_reload_conf()');
  });
}

/** The record has the user's own delay first: a run that is killed must not lose it. */
export async function dropDelay(server: Server, { own, isOurs }: SettingDelay): Promise<void> {
  if (!isOurs) await changeRecord(server.pgdata, { droppedDelay: { own } });
  await setDelay(server, noDelay);
}

export async function bringDelayBack(server: Server, { own }: SettingDelay): Promise<void> {
  await setDelay(server, own);
  await changeRecord(server.pgdata, { droppedDelay: undefined });
}
