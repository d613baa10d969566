/** The primary, as a standby sees it over the connection to its host. */
import { join } from 'node:path';
import { parseArchiverConfig } from '../config/load-archiver.ts';
import type { ArchiverSettings } from '../config/options-archiver.ts';
import { messageOf, PitrError } from '../errors.ts';
import { findHelpers, installedHelpersSql, serverVersionSql } from '../postgres/backup-sql.ts';
import { type Capabilities, capabilitiesOf } from '../postgres/capabilities.ts';
import { inRecoverySql } from '../postgres/server-sql.ts';
import { readRoleState, roleOf, type RoleState, roleStateSql } from '../postgres/standby-role.ts';
import { findVersion } from '../postgres/version.ts';
import { addressesOf, isLoopback, ownAddresses } from '../system/own-addresses.ts';
import { quoted } from '../system/printable.ts';
import type { ProgramDeps } from '../system/program-deps.ts';
import { type PsqlSession, type Rows, withPsql } from '../system/psql.ts';
import type { PsqlTarget } from '../system/psql-failure.ts';
import { refusalOf, type RemoteShell, type RemoteWork } from '../system/ssh.ts';
import { dataWork } from '../verbs/data-requests.ts';
import { noIniReason } from '../verbs/serve-unset.ts';
import type { PrimaryFacts } from './facts.ts';

const limitMs = 20_000;
const longestPidFile = 4096;

interface Answer {
  readonly status: number;
  readonly lines: readonly string[];
  /** Why the program there refuses it to our key. */
  readonly refusal: string | undefined;
}

async function ask(shell: RemoteShell, work: RemoteWork): Promise<Answer> {
  const result = await shell.run(work, { limitMs });
  if (result.kind === 'lost')
    throw new PitrError(`the connection to ${shell.target.host} was lost`, { detail: quoted(result.reason) });
  return { ...result, refusal: refusalOf(result) };
}

/**
 * The name of this host in the list of the primary's standbys: its own, or one that leads here. The name of another
 * host must not be taken: its role on the primary would get our password.
 */
export async function findOwnName(
  standbys: ArchiverSettings['standbys'],
  hostName: string,
  resolve = addressesOf,
): Promise<string | undefined> {
  const byName = standbys.find(({ name, host }) => name === hostName || host === hostName);
  if (byName !== undefined) return byName.name;
  const own = new Set(ownAddresses().filter((address) => !isLoopback(address)));
  const found = await Promise.all(
    standbys.map(async ({ name, host }) => ({ name, addresses: await resolve(host) })),
  );
  const byAddress = found.find(({ addresses }) => addresses.some((address) => own.has(address)));
  if (byAddress !== undefined) return byAddress.name;
  // Known only to the primary, by its own ssh configuration or hosts file.
  const [only, second] = found;
  return second === undefined && only?.addresses.length === 0 ? only.name : undefined;
}

/** Where the server there listens, from its postmaster.pid. */
interface There {
  readonly port: number;
  readonly socketDirectory: string;
}

function thereIn(answer: Answer): There | undefined {
  const digits = answer.lines.join('').replaceAll(/\s/g, '');
  if (answer.status !== 0 || !/^[\da-f]*$/i.test(digits)) return undefined;
  const lines = Buffer.from(digits, 'hex').toString('utf8').split('\n');
  const port = Number(lines[3]);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) return undefined;
  const directory = lines[4]?.trim() ?? '';
  return { port, socketDirectory: directory.startsWith('/') ? directory : '127.0.0.1' };
}

export function psqlThere(there: There, user: string): PsqlTarget {
  const { port, socketDirectory: host } = there;
  return { psql: { program: 'psql', args: [] }, host, port, user, database: 'postgres' };
}

function roleStateIn(rows: Rows): RoleState {
  return readRoleState(rows[0] ?? []);
}

interface Asked {
  readonly capabilities: Capabilities;
  readonly hasHelpers: boolean;
  readonly role: RoleState | undefined;
}

async function askServer(psql: PsqlSession, ownName: string): Promise<Asked | undefined> {
  const version = findVersion((await psql.query(serverVersionSql, limitMs))[0]?.[0] ?? '');
  if (version === undefined) return undefined;
  const capabilities = capabilitiesOf(version);
  const recoverySql = inRecoverySql(capabilities);
  const recovering = recoverySql === undefined ? [] : await psql.query(recoverySql, limitMs);
  if (recovering[0]?.[0] === 't') return undefined;
  return {
    capabilities,
    hasHelpers: findHelpers(await psql.query(installedHelpersSql, limitMs)).kind === 'found',
    role: capabilities.hasReplicationRoles
      ? roleStateIn(await psql.query(roleStateSql(roleOf(ownName)), limitMs))
      : undefined,
  };
}

const unusable = (reason: string, hint: string): PrimaryFacts => ({ kind: 'unusable', reason, hint });

const refusedThere = (host: string, reason: string): PrimaryFacts =>
  unusable(
    `${host} refuses this to our key: ${reason}`,
    'Its authorized_keys names the program and the INI file.',
  );

export async function observePrimary(
  deps: ProgramDeps,
  shell: RemoteShell,
  { path, me }: { readonly path: string; readonly me: string },
): Promise<PrimaryFacts> {
  const { host } = shell.target;
  const ini = await ask(shell, dataWork('ini-file', { ini: path }));
  if (ini.refusal === undefined ? ini.status !== 0 : ini.refusal === quoted(noIniReason(path)))
    return { kind: 'no-ini', path };
  if (ini.refusal !== undefined) return refusedThere(host, ini.refusal);
  const config = parseArchiverConfig(`${ini.lines.join('\n')}\n`);
  if (config.kind === 'problems') {
    const said = config.problems.map(({ line, message }) => `line ${line}: ${message}`).join('; ');
    return unusable(`${path} on ${host} cannot be used: ${quoted(said)}`, 'Correct it there.');
  }
  const { settings } = config;
  const ownName = await findOwnName(settings.standbys, deps.hostName);
  if (ownName === undefined)
    return unusable(
      `${path} on ${host} names no standby that is this host: ${quoted(settings.slaves.join(', '))}`,
      `Add it there: cmd_archiver --setup --standby ${deps.hostName}; or run this on one of these hosts.`,
    );
  const file = join(settings.pgdata, 'postmaster.pid');
  const postmaster = await ask(shell, dataWork('read-file', { path: file, bytes: longestPidFile }));
  if (postmaster.refusal !== undefined) return refusedThere(host, postmaster.refusal);
  const there = thereIn(postmaster);
  if (there === undefined)
    return unusable(
      `no server runs on ${host} in ${quoted(settings.pgdata)}`,
      'Start it: its port and its roles are asked.',
    );
  try {
    const asked = await withPsql(shell, psqlThere(there, me), deps.log, (psql) => askServer(psql, ownName));
    if (asked === undefined)
      return unusable(
        `the server on ${host} is itself a standby, or of an unknown release`,
        'Name the primary by --primary.',
      );
    return { kind: 'seen', settings, ownName, ...there, ...asked };
  } catch (error) {
    deps.signal.throwIfAborted();
    return unusable(
      `the server on ${host} cannot be asked: ${quoted(messageOf(error))}`,
      `This must work there, without a password: psql -U ${me} -h ${there.socketDirectory} -p ${there.port} postgres`,
    );
  }
}
