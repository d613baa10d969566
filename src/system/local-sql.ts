import type pg from 'pg';
import { messageOf, PitrError } from '../errors.ts';
import { sessionStatements } from '../postgres/session-settings.ts';
import { systemErrorCode } from './durable.ts';
import { type Access, accessOf, type LocalServer, type Tls } from './libpq-access.ts';

export type LocalSql = (
  sql: string,
  values?: readonly unknown[],
) => Promise<readonly Record<string, unknown>[]>;

export type LocalResult<T> =
  | { readonly kind: 'answered'; readonly value: T }
  /** The server exists but does not accept connections yet: it is starting up, or in recovery without hot standby. */
  | { readonly kind: 'not-accepting'; readonly reason: string }
  /** It rejected the login, or a statement failed: `code` is the SQLSTATE. */
  | { readonly kind: 'rejected'; readonly reason: string; readonly code: string }
  | { readonly kind: 'no-server'; readonly reason: string };

export type WithLocalSql = <T>(
  server: LocalServer,
  limitMs: number,
  use: (sql: LocalSql) => Promise<T>,
  /** Hangs up when aborted, even while a statement runs. */
  signal?: AbortSignal,
) => Promise<LocalResult<T>>;

type Failed = Exclude<LocalResult<never>, { kind: 'answered' }>;

// SQLSTATE 57P03, cannot_connect_now (manual, appendix "PostgreSQL Error Codes").
const cannotConnectNow = '57P03';
const invalidPassword = '28P01';
const sqlState = /^[0-9A-Z]{5}$/;

/** The server asks for a password, and there is none to send. */
class NoPassword extends Error {}

function failed(error: unknown): Failed {
  const reason = messageOf(error);
  const code = systemErrorCode(error);
  if (error instanceof NoPassword) return { kind: 'rejected', reason, code: invalidPassword };
  if (code === cannotConnectNow) return { kind: 'not-accepting', reason };
  if (code !== undefined && sqlState.test(code) && error instanceof Error && 'severity' in error)
    return { kind: 'rejected', reason, code };
  return { kind: 'no-server', reason: reason === '' ? (code ?? 'no answer') : reason };
}

/** 8.4 refuses a connection that names its program, and the driver takes that name from the environment. */
function withoutProgramName<T>(make: () => T): T {
  const { PGAPPNAME: name } = process.env;
  delete process.env['PGAPPNAME'];
  try {
    return make();
  } finally {
    if (name !== undefined) process.env['PGAPPNAME'] = name;
  }
}

/** The driver must not read libpq's variables and files by itself. */
function configOf(server: LocalServer, access: Access, tls: Tls, limitMs: number): pg.ClientConfig {
  return {
    ...server,
    password: () => {
      if (access.password !== undefined) return access.password;
      throw new NoPassword(
        `the server asks for a password of "${server.user}", and none was found: ${access.lookedIn.join('; ')}`,
      );
    },
    ssl: tls,
    sslnegotiation: 'postgres',
    // If this is left out, the driver takes PGOPTIONS.
    options: '-c search_path=pg_catalog',
    connectionTimeoutMillis: limitMs,
    query_timeout: limitMs + 1000,
  };
}

/** Node pads the name of an abstract socket with NULs (20 and 22), and never finds the server's. */
function refuseAbstractSocket({ host }: LocalServer): void {
  if (!host.startsWith('@')) return;
  throw new Error(
    `the server listens at the abstract socket "${host}" alone, to which this program cannot connect: add a directory to unix_socket_directories, or an address to listen_addresses`,
  );
}

async function connect(server: LocalServer, access: Access, tls: Tls, limitMs: number): Promise<pg.Client> {
  const { default: driver } = await import('pg');
  const client = withoutProgramName(() => new driver.Client(configOf(server, access, tls, limitMs)));
  // An idle connection that the server ends must not end us.
  client.on('error', () => undefined);
  try {
    await client.connect();
    for (const statement of sessionStatements(limitMs, 'utf8')) await client.query(statement);
    return client;
  } catch (error) {
    await client.end().catch(() => undefined);
    throw error;
  }
}

/** With or without TLS, in the order in which libpq tries. */
async function connectAny(server: LocalServer, access: Access, limitMs: number): Promise<pg.Client> {
  const [last = false, ...before] = access.tls.toReversed();
  for (const tls of before.toReversed()) {
    const client = await connect(server, access, tls, limitMs).catch(() => undefined);
    if (client !== undefined) return client;
  }
  return connect(server, access, last, limitMs);
}

/** Two columns may have the same name, as those without one have: each is a value of its own all the same. */
function keysOf(columns: readonly string[]): readonly string[] {
  return columns.map((name, index) =>
    columns.indexOf(name) === index ? name : `${name} (column ${index + 1})`,
  );
}

/** The driver returns a list for a text of several statements. */
function rowsOf(
  result: pg.QueryArrayResult<unknown[]> | readonly pg.QueryArrayResult[],
): readonly Record<string, unknown>[] {
  if (!('rows' in result)) throw new Error('it is more than one statement');
  const keys = keysOf(result.fields.map(({ name }) => name));
  return result.rows.map((row) => Object.fromEntries(keys.map((key, index) => [key, row[index]])));
}

/**
 * Connects to the local server for one conversation, with the settings that libpq would find in its variables and
 * files. Every statement has the limit `limitMs` at both ends: a commit that waits for a standby cannot hold us up.
 */
export const withLocalSql: WithLocalSql = async (server, limitMs, use, signal) => {
  let client: pg.Client | undefined;
  const hangUp = (): void => {
    client?.end().catch(() => undefined);
  };
  signal?.addEventListener('abort', hangUp, { once: true });
  try {
    refuseAbstractSocket(server);
    const connected = await connectAny(server, await accessOf(server), limitMs);
    client = connected;
    signal?.throwIfAborted();
    const sql: LocalSql = async (text, values = []) =>
      rowsOf(await connected.query<unknown[]>({ text, values: [...values], rowMode: 'array' }));
    return { kind: 'answered', value: await use(sql) };
  } catch (error) {
    if (error instanceof PitrError) throw error;
    return failed(error);
  } finally {
    signal?.removeEventListener('abort', hangUp);
    await client?.end().catch(() => undefined);
  }
};
