/** The server of this host, as it answers over its socket. */
import { realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { findHelpers, installedHelpersSql } from '../postgres/backup-sql.ts';
import type { Capabilities } from '../postgres/capabilities.ts';
import { readRoleState, type RoleState, roleStateSql } from '../postgres/standby-role.ts';
import type { LocalServer } from '../system/libpq-access.ts';
import { type LocalSql, withLocalSql } from '../system/local-sql.ts';
import { readPostmaster } from '../system/postmaster.ts';
import { quoted } from '../system/printable.ts';
import type { ServerFacts } from './facts.ts';
import { askedSettings, type CurrentSettings } from './server-wants.ts';

const limitMs = 15_000;

/** The fields of each row as text, in the order of the query. */
function rowsOf(rows: readonly Record<string, unknown>[]): readonly (readonly string[])[] {
  return rows.map((row) =>
    Object.values(row).map((value) => (typeof value === 'string' ? value : JSON.stringify(value ?? ''))),
  );
}

/** A setting that is switched off is shown as such: reset_val has the text in the file. */
const settingsSql = `SELECT name::text AS name, CASE WHEN name = 'archive_command' THEN reset_val ELSE setting END AS value, context::text AS context, coalesce(sourcefile, '') AS file FROM pg_catalog.pg_settings WHERE name IN (${askedSettings.map((name) => `'${name}'`).join(', ')})`;

async function askSettings(sql: LocalSql): Promise<CurrentSettings> {
  const rows = rowsOf(await sql(settingsSql));
  return new Map(
    await Promise.all(
      rows.map(async ([name = '', value = '', context = '', file = '']) => {
        const place = file === '' ? '' : await withoutLinks(file);
        return [name, { value, context, file: place }] as const;
      }),
    ),
  );
}

/** A file by the directory in which it really is: the server and we may have come there by different links. */
export async function withoutLinks(file: string): Promise<string> {
  const directory = dirname(file);
  return join(await realpath(directory).catch(() => directory), basename(file));
}

async function askRole(sql: LocalSql, role: string): Promise<RoleState> {
  const [row] = await sql(roleStateSql(role));
  const text = (value: unknown): string => (typeof value === 'string' ? value : '');
  return readRoleState(['name', 'can_replicate', 'is_member', 'verifier'].map((name) => text(row?.[name])));
}

const loadedSql =
  "SELECT setting::text AS file, (extract(epoch FROM pg_catalog.pg_conf_load_time()) * 1000)::text AS loaded FROM pg_catalog.pg_settings WHERE name = 'hba_file'";

async function askHbaFile(sql: LocalSql) {
  const [row] = await sql(loadedSql);
  const hbaFile = typeof row?.['file'] === 'string' ? row['file'] : '';
  const changed = await stat(hbaFile).catch(() => undefined);
  return { hbaFile, isHbaLoaded: changed === undefined || changed.mtimeMs <= Number(row?.['loaded']) };
}

async function askAll(
  sql: LocalSql,
  capabilities: Capabilities,
  role: string,
): Promise<Omit<Extract<ServerFacts, { kind: 'seen' }>, 'port' | 'socketDirectory'>> {
  const recovery = capabilities.isInRecoveryFunction;
  const asked = recovery === undefined ? [] : await sql(`SELECT ${recovery}() AS is_in_recovery`);
  const isInRecovery = asked[0]?.['is_in_recovery'] === true;
  const hbaFile = await askHbaFile(sql);
  const helpers = findHelpers((await sql(installedHelpersSql)).map((row) => Object.values(row).map(String)));
  return {
    kind: 'seen',
    isInRecovery,
    settings: await askSettings(sql),
    ...hbaFile,
    hasHelpers: helpers.kind === 'found',
    role: capabilities.hasReplicationRoles && !isInRecovery ? await askRole(sql, role) : undefined,
  };
}

/** From 9.1 on postmaster.pid says where it listens; the usual places otherwise. */
async function findLocalServer(pgdata: string, user: string): Promise<LocalServer | string> {
  const postmaster = await readPostmaster(pgdata);
  if (postmaster.kind === 'unclear') return postmaster.reason;
  if (postmaster.kind !== 'running') return '';
  return {
    host: postmaster.socketDirectory ?? '/tmp',
    port: postmaster.port ?? 5432,
    user,
    database: 'postgres',
  };
}

export async function observeServer(
  pgdata: string,
  user: string,
  capabilities: Capabilities | undefined,
  role: string,
): Promise<ServerFacts> {
  const found = await findLocalServer(pgdata, user);
  if (found === '') return { kind: 'stopped' };
  if (typeof found === 'string') return { kind: 'unasked', reason: found };
  if (capabilities === undefined) return { kind: 'unasked', reason: 'its release is not known' };
  const answer = await withLocalSql(found, limitMs, (sql) => askAll(sql, capabilities, role));
  if (answer.kind !== 'answered') return { kind: 'unasked', reason: quoted(answer.reason) };
  return { ...answer.value, port: found.port, socketDirectory: found.host };
}
