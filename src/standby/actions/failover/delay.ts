import { join } from 'node:path';
import { sqlLiteral } from '../../../postgres/quoting.ts';
import { readIfExists } from '../../../system/durable.ts';
import type { Server } from '../../server/server.ts';
import { mustAnswer, rowsOf, type ServerState } from '../../server/server-state.ts';

const parameter = 'recovery_min_apply_delay';

/** A standby that delays its replay on purpose. */
export type ReplayDelay =
  /** The delay is in recovery.conf, which a server reads only at its start. A promotion ends it. */
  | { readonly kind: 'until-promotion' }
  /** `own` is the value that `ALTER SYSTEM` set, if the delay comes from there. */
  | { readonly kind: 'setting'; readonly value: string; readonly own: string | undefined };

export type SettingDelay = Extract<ReplayDelay, { readonly kind: 'setting' }>;

async function inRecoveryConf({ pgdata }: Server): Promise<ReplayDelay | undefined> {
  const text = (await readIfExists(join(pgdata, 'recovery.conf')))?.toString('utf8') ?? '';
  return new RegExp(`^\\s*${parameter}\\b`, 'm').test(text) ? { kind: 'until-promotion' } : undefined;
}

export async function observeDelay(server: Server, state: ServerState): Promise<ReplayDelay | undefined> {
  const { capabilities } = server;
  if (!capabilities.hasRecoveryMinApplyDelay || state.kind !== 'recovering' || !state.answers)
    return undefined;
  if (capabilities.recoveryConf === 'recovery.conf') return inRecoveryConf(server);
  const rows = await rowsOf(
    server,
    `SELECT current_setting(name) AS value, sourcefile FROM pg_settings WHERE name = '${parameter}' AND setting <> '0'`,
  );
  const row = rows?.[0];
  if (row === undefined) return undefined;
  const value = String(row['value']);
  const isOwn = String(row['sourcefile']).endsWith('postgresql.auto.conf');
  return { kind: 'setting', value, own: isOwn ? value : undefined };
}

/** @param value undefined to reset it */
export async function setDelay(server: Server, value: string | undefined): Promise<void> {
  const change =
    value === undefined
      ? `ALTER SYSTEM RESET ${parameter}`
      : `ALTER SYSTEM SET ${parameter} = ${sqlLiteral(value)}`;
  await mustAnswer(server, `cannot set ${parameter} to ${value ?? 'its former value'}`, async (sql) => {
    await sql(change);
    await sql('SELECT pg_reload_conf()');
  });
}
