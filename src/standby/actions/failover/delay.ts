import { join } from 'node:path';
import { sqlLiteral } from '../../../postgres/quoting.ts';
import { readIfExists } from '../../../system/durable.ts';
import { delayParameter } from '../../recovery/settings.ts';
import type { Server } from '../../server/server.ts';
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
    };

export type SettingDelay = Extract<ReplayDelay, { readonly kind: 'setting' }>;

async function inRecoveryConf({ pgdata }: Server): Promise<ReplayDelay | undefined> {
  const text = (await readIfExists(join(pgdata, 'recovery.conf')))?.toString('utf8') ?? '';
  return new RegExp(`^\\s*${delayParameter}\\b`, 'm').test(text) ? { kind: 'until-promotion' } : undefined;
}

/** @param written the parameters that we wrote for the server */
export async function observeDelay(
  server: Server,
  state: ServerState,
  written: readonly string[],
): Promise<ReplayDelay | undefined> {
  const { capabilities } = server;
  if (!capabilities.hasRecoveryMinApplyDelay || state.kind !== 'recovering' || !state.answers)
    return undefined;
  if (capabilities.recoveryConf === 'recovery.conf') return inRecoveryConf(server);
  const rows = await rowsOf(
    server,
    `SELECT current_setting(name) AS value, sourcefile FROM pg_settings WHERE name = '${delayParameter}' AND setting <> '0'`,
  );
  const row = rows?.[0];
  if (row === undefined) return undefined;
  const value = String(row['value']);
  const isOwn = String(row['sourcefile']).endsWith('postgresql.auto.conf');
  return {
    kind: 'setting',
    value,
    own: isOwn ? value : undefined,
    isOurs: isOwn && written.includes(delayParameter),
  };
}

/** @param value undefined to reset it */
export async function setDelay(server: Server, value: string | undefined): Promise<void> {
  const change =
    value === undefined
      ? `ALTER SYSTEM RESET ${delayParameter}`
      : `ALTER SYSTEM SET ${delayParameter} = ${sqlLiteral(value)}`;
  await mustAnswer(server, `cannot set ${delayParameter} to ${value ?? 'its former value'}`, async (sql) => {
    await sql(change);
    await sql('SELECT pg_reload_conf()');
  });
}
