import type pg from 'pg';
import { messageOf, PitrError } from '../errors.ts';
import { systemErrorCode } from './durable.ts';

/** Where the server of this host listens. `host` is a socket directory or an address. */
export interface LocalServer {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
}

export type LocalSql = (
  sql: string,
  values?: readonly unknown[],
) => Promise<readonly Record<string, unknown>[]>;

export type LocalResult<T> =
  | { readonly kind: 'answered'; readonly value: T }
  /** The server is there but does not take connections yet: starting up, or in recovery without hot standby. */
  | { readonly kind: 'not-accepting'; readonly reason: string }
  /** It let us not in, or a statement failed: `code` is the SQLSTATE. */
  | { readonly kind: 'rejected'; readonly reason: string; readonly code: string }
  | { readonly kind: 'no-server'; readonly reason: string };

export type WithLocalSql = <T>(
  server: LocalServer,
  limitMs: number,
  use: (sql: LocalSql) => Promise<T>,
) => Promise<LocalResult<T>>;

// SQLSTATE 57P03, cannot_connect_now (manual, appendix "PostgreSQL Error Codes").
const cannotConnectNow = '57P03';
const sqlState = /^[0-9A-Z]{5}$/;

function failed(error: unknown): Exclude<LocalResult<never>, { kind: 'answered' }> {
  const reason = messageOf(error);
  const code = systemErrorCode(error);
  if (code === cannotConnectNow) return { kind: 'not-accepting', reason };
  if (code !== undefined && sqlState.test(code) && error instanceof Error && 'severity' in error)
    return { kind: 'rejected', reason, code };
  return { kind: 'no-server', reason: reason === '' ? (code ?? 'no answer') : reason };
}

/**
 * Connects to the local server for one conversation. No application_name: 8.4 refuses a connection that brings one. Every statement is under `limitMs` at both ends, so that a
 * commit that waits for a standby cannot hold us.
 */
export const withLocalSql: WithLocalSql = async (server, limitMs, use) => {
  const { default: driver } = await import('pg');
  const client: pg.Client = new driver.Client({
    ...server,
    // Where this is left out, the driver takes PGOPTIONS.
    options: '-c search_path=pg_catalog',
    connectionTimeoutMillis: limitMs,
    query_timeout: limitMs + 1000,
    statement_timeout: limitMs,
  });
  // An idle connection that the server ends must not end us.
  client.on('error', () => undefined);
  try {
    await client.connect();
    const sql: LocalSql = async (text, values = []) =>
      (await client.query<Record<string, unknown>>(text, [...values])).rows;
    return { kind: 'answered', value: await use(sql) };
  } catch (error) {
    if (error instanceof PitrError) throw error;
    return failed(error);
  } finally {
    await client.end().catch(() => undefined);
  }
};
