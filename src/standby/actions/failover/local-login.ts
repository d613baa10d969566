import { userInfo } from 'node:os';
import { join } from 'node:path';
import { PitrError } from '../../../errors.ts';
import type { Capabilities } from '../../../postgres/capabilities.ts';
import { askHba, type HbaAnswer } from '../../../postgres/hba.ts';
import { readIfExists } from '../../../system/durable.ts';
import type { LocalServer } from '../../../system/libpq-access.ts';
import { type Access, accessOf, isSocket } from '../../../system/libpq-access.ts';
import type { LocalSql } from '../../../system/local-sql.ts';
import { readPostmaster } from '../../../system/postmaster.ts';
import { promotingAction, type StandbyDeps } from '../../deps.ts';
import { localServerAt } from '../../server/local-address.ts';
import type { Server } from '../../server/server.ts';
import {
  type ConfigurationRole,
  configurationSources,
  isHotStandby,
  type ServerConfiguration,
} from '../../server/server-configuration.ts';
import { observeServer, type ServerState, withLocalServer } from '../../server/server-state.ts';
import { waitUntil } from '../../server/wait.ts';

/** Whether the steps after a promotion can log in to this host's server with the rights that they need. */
export type LocalLogin =
  | { readonly kind: 'proved' }
  /** No fact contradicts the login, and none proves it. */
  | { readonly kind: 'unknown'; readonly reason: string }
  | { readonly kind: 'refused'; readonly reason: string };

/** The hint for a login that fails. */
export const loginHint =
  'The login must work here without a prompt: correct pg_hba.conf, .pgpass (host localhost for the socket) or the role, or name another database by dbname:.';

/** An unknown login must not look like a proven one. */
export function sayLogin({ log }: Pick<StandbyDeps, 'log'>, login: LocalLogin): void {
  if (login.kind === 'refused')
    log.warning(`continuing without a login at the server here (--force=login): ${login.reason}`);
  if (login.kind === 'unknown')
    log.notice(`whether we can log in after the promotion is not known: ${login.reason}`);
}

const proved: LocalLogin = { kind: 'proved' };
const unknown = (reason: string): LocalLogin => ({ kind: 'unknown', reason });
const refused = (reason: string): LocalLogin => ({ kind: 'refused', reason });

interface Rights {
  readonly isSuper: boolean;
  readonly mayCreate: boolean;
  readonly mayReload: boolean;
  readonly mayResume: boolean;
}

/** The needs beside a test write, for which a role that is no superuser needs a grant. */
interface Needs {
  readonly reload: boolean;
  readonly resume: boolean;
}

async function askRights(sql: LocalSql, capabilities: Capabilities): Promise<Rights> {
  const { canGrantAdminFunctions, replayResumeFunction: resume } = capabilities;
  const mayCall = (name: string | undefined) =>
    canGrantAdminFunctions && name !== undefined ? `has_function_privilege('${name}()', 'EXECUTE')` : 'false';
  const [row] = await sql(
    `SELECT rolsuper AS is_super, has_database_privilege(current_database(), 'CREATE') AS may_create, ${mayCall('pg_reload_conf')} AS may_reload, ${mayCall(resume)} AS may_resume ` +
      'FROM pg_roles WHERE rolname = current_user',
  );
  return {
    isSuper: row?.['is_super'] === true,
    mayCreate: row?.['may_create'] === true,
    mayReload: row?.['may_reload'] === true,
    mayResume: row?.['may_resume'] === true,
  };
}

/**
 * The test write after the promotion makes a schema. A reload puts the failover's files into force. A replay that is paused
 * is resumed before the promotion, and after the fence.
 */
export function judgeRights(user: string, rights: Rights, needs: Needs): LocalLogin {
  if (rights.isSuper) return proved;
  if (!rights.mayCreate) {
    return refused(
      `role "${user}" is not allowed to write in its database: it needs CREATE on it, or to be a superuser`,
    );
  }
  if (needs.resume && !rights.mayResume) {
    return refused(
      `the replay is paused, and role "${user}" is not allowed to resume it: it needs EXECUTE on pg_wal_replay_resume() (pg_xlog_replay_resume() up to 9.6), or to be a superuser`,
    );
  }
  if (!needs.reload || rights.mayReload) return proved;
  return refused(
    `role "${user}" is not allowed to reload the configuration: it needs EXECUTE on pg_reload_conf(), or to be a superuser`,
  );
}

const passwordMethods = ['password', 'md5', 'scram-sha-256', 'ldap', 'pam', 'radius', 'bsd'];

interface HbaQuestion {
  readonly file: string;
  readonly answer: HbaAnswer;
  readonly user: string;
  readonly systemUser: string;
  readonly access: Pick<Access, 'password' | 'lookedIn'>;
}

/** The verdict from the text of pg_hba.conf alone. */
export function judgeHba({ file, answer, user, systemUser, access }: HbaQuestion): LocalLogin {
  if (answer.kind === 'no-line') return refused(`"${file}" has no local line for user "${user}"`);
  if (answer.kind === 'unknown') {
    return unknown(
      `line ${answer.number} of "${file}" does not show by itself whether it is for user "${user}"`,
    );
  }
  const { method, number, hasMap } = answer;
  const line = `line ${number} of "${file}" (${method})`;
  if (method === 'trust') return proved;
  if (method === 'reject') return refused(`${line} refuses user "${user}"`);
  if (method === 'peer' || method === 'ident') {
    if (hasMap) return unknown(`${line} uses a map of users`);
    if (user === systemUser) return proved;
    return refused(`${line} lets in user "${systemUser}", not "${user}"`);
  }
  if (!passwordMethods.includes(method))
    return unknown(`${line} asks for a method that cannot be tried before the promotion`);
  if (access.password !== undefined)
    return unknown(`${line} asks for a password, and whether it takes the one found is not known`);
  return refused(`${line} asks for a password, and none was found: ${access.lookedIn.join('; ')}`);
}

/** The pg_hba.conf that the server will read in this role, as long as the INI file's copies are not made yet. */
function hbaFile(
  { settings }: Pick<StandbyDeps, 'settings'>,
  role: ConfigurationRole,
  { parameters, inFile }: ServerConfiguration,
): string {
  const given = configurationSources(settings, role).hba ?? parameters.get('hba_file');
  return given ?? inFile.get('hba_file') ?? join(settings.pgdata, 'pg_hba.conf');
}

async function byFile(file: string, server: LocalServer): Promise<LocalLogin> {
  const { user, database } = server;
  if (!isSocket(server.host)) {
    return unknown(`the server listens at no socket, and "${file}" is judged for sockets alone`);
  }
  const text = await readIfExists(file).catch(() => undefined);
  if (text === undefined) return unknown(`"${file}" cannot be read here`);
  return judgeHba({
    file,
    answer: askHba(text.toString('utf8'), { user, database }),
    user,
    systemUser: userInfo().username,
    access: await accessOf(server),
  });
}

/** The worse of two findings. */
function worse(one: LocalLogin, other: LocalLogin): LocalLogin {
  if (one.kind === 'refused') return one;
  return other.kind === 'refused' || one.kind === 'proved' ? other : one;
}

export interface LoginQuestion {
  readonly server: Server;
  readonly state: ServerState;
  readonly configuration: ServerConfiguration;
  /** The configuration that the failover puts into force, if there is one. */
  readonly failoverConfiguration?: ServerConfiguration | undefined;
  /** The replay is paused, and is resumed before the promotion. */
  readonly isToResume?: boolean;
}

/** Judges by a login if the server answers, otherwise by its settings. */
async function tryLogin(
  { server, state, configuration, failoverConfiguration, isToResume = false }: LoginQuestion,
  address: LocalServer,
): Promise<LocalLogin> {
  const { deps, capabilities } = server;
  if (state.kind === 'stopped') return byFile(hbaFile(deps, 'standby', configuration), address);
  const answer = await withLocalServer(server, (sql) => askRights(sql, capabilities));
  if (answer.kind === 'answered')
    return judgeRights(address.user, answer.value, {
      reload: failoverConfiguration !== undefined,
      resume: isToResume,
    });
  if (answer.kind !== 'not-accepting') return refused(answer.reason);
  const found = await byFile(hbaFile(deps, 'standby', configuration), address);
  if (found.kind !== 'proved') return found;
  return unknown(
    `the server takes no connections while it recovers (${answer.reason}); its pg_hba.conf lets user "${address.user}" in, and whether that role may write is not known`,
  );
}

/** Judges the login of a standby. A server that is open already shows by itself whether it answers. */
export async function observeLocalLogin(question: LoginQuestion): Promise<LocalLogin> {
  const { server, state, configuration, failoverConfiguration } = question;
  if (state.kind === 'production' || state.kind === 'starting') return proved;
  const { deps, pgdata } = server;
  const address = localServerAt(deps.settings, await readPostmaster(pgdata), configuration.inFile);
  const now = await tryLogin(question, address);
  if (failoverConfiguration === undefined || now.kind === 'refused') return now;
  const later = hbaFile(deps, 'failover', failoverConfiguration);
  if (later === hbaFile(deps, 'standby', configuration)) return now;
  return worse(now, await byFile(later, address));
}

/** A hot standby answers queries once it is consistent. We do not wait for one that takes longer. */
const consistentS = 10;

async function onceItAnswers(server: Server, configuration: ServerConfiguration): Promise<ServerState> {
  const { deps, capabilities } = server;
  let state = await observeServer(server);
  if (!isHotStandby(configuration, capabilities)) return state;
  await waitUntil(deps, consistentS, async () => {
    state = await observeServer(server);
    if (state.kind !== 'recovering' || state.answers) return { kind: 'done', value: undefined };
    const { kind } = await observeLocalLogin({ server, state, configuration });
    // A refusal is final: the server will not let us in later.
    return kind === 'refused'
      ? { kind: 'done', value: undefined }
      : { kind: 'waiting', progress: state.progress };
  });
  return state;
}

export interface LoginProof {
  readonly configuration: ServerConfiguration;
  readonly failoverConfiguration: ServerConfiguration | undefined;
  /** The operator accepts a refusal: it is reported, and the failover continues. */
  readonly isAccepted: boolean;
}

/** Checks the login after the standby was started: a server is not promoted if it would not let us finish. */
export async function proveLogin(
  server: Server,
  { configuration, failoverConfiguration, isAccepted }: LoginProof,
): Promise<void> {
  const state = await onceItAnswers(server, configuration);
  const login = await observeLocalLogin({ server, state, configuration, failoverConfiguration });
  if (login.kind !== 'refused' || isAccepted) {
    sayLogin(server.deps, login);
    return;
  }
  throw new PitrError(`the server here was started and not promoted: it rejects our login: ${login.reason}`, {
    hint: `${loginHint} Then run ${promotingAction(server.deps)} again.`,
  });
}
