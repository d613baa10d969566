/**
 * How libpq would log in at a server of this host: its password, its certificates and its use of TLS. Host, port,
 * user and database are known already; in libpq, too, they take precedence over its variables.
 */
import { readFile, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { findPassword, findService } from '../postgres/libpq-files.ts';

/**
 * The address at which the server of this host listens. `host` is a socket directory, an abstract socket (`@NAME`) or
 * an address.
 */
export interface LocalServer {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
}

type SslMode = 'disable' | 'allow' | 'prefer' | 'require' | 'verify-ca' | 'verify-full';

/** The TLS options for `tls.connect`; false for a connection without TLS. */
export type Tls =
  | false
  | {
      readonly rejectUnauthorized: boolean;
      readonly ca?: string;
      readonly cert?: string;
      readonly key?: string;
      /** If not set, the certificate must be the host's. */
      readonly checkServerIdentity?: () => undefined;
    };

export interface Access {
  readonly password: string | undefined;
  /**
   * The places where a password was looked for, and why a file was ignored: for the message when the server asks for
   * one.
   */
  readonly lookedIn: readonly string[];
  /** Tried one after another until one connects. */
  readonly tls: readonly Tls[];
}

/** Each of libpq's parameters: from the service, otherwise from the variable. */
type Parameter = (name: string, variable: string) => string | undefined;

const groupOrOthers = 0o077;
/** Debian's libpq looks here; only the library itself knows upstream's place. */
const systemDirectory = '/etc/postgresql-common';

function given(value: string | undefined): string | undefined {
  return value === '' ? undefined : value;
}

async function textOf(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch(() => undefined);
}

/** The user's own file comes first, then the system's. */
async function readService(env: NodeJS.ProcessEnv): Promise<ReadonlyMap<string, string> | undefined> {
  const name = given(env['PGSERVICE']);
  if (name === undefined) return undefined;
  const own = given(env['PGSERVICEFILE']) ?? join(homedir(), '.pg_service.conf');
  const system = join(given(env['PGSYSCONFDIR']) ?? systemDirectory, 'pg_service.conf');
  for (const path of [own, system]) {
    const service = findService((await textOf(path)) ?? '', name);
    if (service !== undefined) return service;
  }
  return undefined;
}

export function isSocket(host: string): boolean {
  return host.startsWith('/') || host.startsWith('@');
}

/**
 * libpq calls the default socket directory `localhost`. Each libpq was compiled with its own default; whichever it
 * is, a server of this host is meant.
 */
function namesOf(host: string): readonly string[] {
  return isSocket(host) ? [host, 'localhost'] : [host];
}

/** As in libpq, a password file that other users can read is ignored. */
async function whyLeftAlone(path: string): Promise<string | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return `there is no ${path}`;
  if (!found.isFile()) return `${path} is not a regular file`;
  if ((found.mode & groupOrOthers) === 0) return undefined;
  const mode = (found.mode & 0o777).toString(8).padStart(4, '0');
  return `${path} has mode ${mode} and is ignored: chmod 0600 ${path}`;
}

async function passwordOf(
  parameter: Parameter,
  { host, port, user, database }: LocalServer,
): Promise<Pick<Access, 'password' | 'lookedIn'>> {
  const told = parameter('password', 'PGPASSWORD');
  if (told !== undefined) return { password: told, lookedIn: ['PGPASSWORD or the service of PGSERVICE'] };
  const path = parameter('passfile', 'PGPASSFILE') ?? join(homedir(), '.pgpass');
  const problem = await whyLeftAlone(path);
  if (problem !== undefined) return { password: undefined, lookedIn: ['PGPASSWORD is not set', problem] };
  const hosts = namesOf(host);
  const password = findPassword((await textOf(path)) ?? '', { hosts, port, database, user });
  const line = `${hosts.join(' or ')}:${port}:${database}:${user}`;
  return {
    password,
    lookedIn: password === undefined ? ['PGPASSWORD is not set', `${path} has no line for ${line}`] : [path],
  };
}

async function certificate(parameter: Parameter, name: string, variable: string, file: string) {
  return textOf(parameter(name, variable) ?? join(homedir(), '.postgresql', file));
}

async function encrypted(parameter: Parameter, mode: SslMode): Promise<Tls> {
  const [ca, cert, key] = await Promise.all([
    certificate(parameter, 'sslrootcert', 'PGSSLROOTCERT', 'root.crt'),
    certificate(parameter, 'sslcert', 'PGSSLCERT', 'postgresql.crt'),
    certificate(parameter, 'sslkey', 'PGSSLKEY', 'postgresql.key'),
  ]);
  const own = cert === undefined || key === undefined ? {} : { cert, key };
  // If a root certificate exists, libpq treats `require` as `verify-ca`.
  const verifies = mode.startsWith('verify') || (mode === 'require' && ca !== undefined);
  if (!verifies) return { ...own, rejectUnauthorized: false };
  const identity = mode === 'verify-full' ? {} : { checkServerIdentity: () => undefined };
  return { ...own, ...identity, rejectUnauthorized: true, ...(ca === undefined ? {} : { ca }) };
}

function sslModeOf(parameter: Parameter): SslMode {
  const modes: readonly SslMode[] = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'];
  return modes.find((mode) => mode === parameter('sslmode', 'PGSSLMODE')) ?? 'prefer';
}

async function tlsOf(parameter: Parameter, host: string): Promise<readonly Tls[]> {
  if (isSocket(host)) return [false];
  const mode = sslModeOf(parameter);
  if (mode === 'disable') return [false];
  const tls = await encrypted(parameter, mode);
  if (mode === 'allow') return [false, tls];
  return mode === 'prefer' ? [tls, false] : [tls];
}

/** The settings that libpq's variables and files contain for this connection. */
export async function accessOf(question: LocalServer, env = process.env): Promise<Access> {
  const service = await readService(env);
  const parameter: Parameter = (name, variable) => given(service?.get(name)) ?? given(env[variable]);
  const [password, tls] = await Promise.all([
    passwordOf(parameter, question),
    tlsOf(parameter, question.host),
  ]);
  return { ...password, tls };
}
