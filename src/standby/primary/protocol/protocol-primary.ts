import { dirname } from 'node:path';
import { refusal } from '../../../errors.ts';
import { type CommandLine, succeeded } from '../../../system/command.ts';
import { requireProgram } from '../../../system/find-program.ts';
import { isThisHost } from '../../../system/own-addresses.ts';
import type { PsqlRunner } from '../../../system/psql.ts';
import { type RemoteShell, scriptOf } from '../../../system/ssh.ts';
import type { StandbyDeps } from '../../deps.ts';
import { databaseOf } from '../../server/database.ts';
import { installedPackageFolders } from '../../server/server-programs.ts';
import { askFacts, type Primary, type PrimaryFacts, type ProtocolAccess } from '../primary.ts';
import { type Query, withSession } from '../session.ts';
import { identifyPrimary, type Identity } from './identify.ts';
import { withAccess } from './pass-file.ts';

/** psql of this host: beside pg_basebackup if the INI file names that, otherwise any psql. Any release will do. */
export async function findPsql({ settings }: StandbyDeps): Promise<CommandLine> {
  const { pg_basebackup, includepath } = settings;
  const beside = pg_basebackup.program.startsWith('/') ? [dirname(pg_basebackup.program)] : [];
  const folders = [...beside, ...includepath, ...(await installedPackageFolders())];
  return requireProgram('includepath', { program: 'psql', args: [] }, folders);
}

/** Runs psql here, with the password where only psql finds it. */
function localRunner(deps: StandbyDeps, { env }: ProtocolAccess): PsqlRunner {
  return {
    start: (work, options) =>
      deps.startSession({ program: '/bin/sh', args: ['-c', `exec ${scriptOf(work)}`] }, { ...options, env }),
  };
}

/**
 * Replaces the shell on the primary's host. It only has to answer whether a directory here is the primary's own. If the
 * primary is this very host, its own shell answers; for any other primary there is no answer.
 */
async function shellInstead(deps: StandbyDeps): Promise<RemoteShell> {
  const { settings } = deps;
  const isHere = await isThisHost(settings.master_public_ip);
  const ask = async (script: string, limitMs: number): Promise<readonly [number, readonly string[]]> => {
    if (!isHere) return [1, []];
    const result = await deps.run({ program: '/bin/sh', args: ['-c', script] }, { limitMs });
    return [succeeded(result) ? 0 : 1, result.stdout.split('\n')];
  };
  return {
    target: {
      host: settings.master_public_ip,
      what: 'the primary',
      user: settings.user,
      ssh: settings.ssh,
      connectTimeoutS: settings.ssh_timeout,
      debug: settings.ssh_debug,
    },
    run: async (work, { limitMs }) => {
      const [status, lines] = await ask(scriptOf(work), limitMs);
      return { kind: 'done', status, lines };
    },
    start: () => {
      throw new Error('nothing is started on the primary where ssh to it is not allowed');
    },
    rsyncShell: '',
    stderr: () => '',
  };
}

async function gatherFacts(identity: Identity, query: Query, role: string): Promise<PrimaryFacts> {
  const facts = await askFacts(query);
  const { capabilities, settings } = facts;
  const { dataDirectory } = settings;
  if (dataDirectory === undefined) {
    throw refusal(`role "${role}" has no right to read the settings of the primary`, {
      hint: capabilities.hasReadAllSettingsRole
        ? `Run there: GRANT pg_read_all_settings TO ${role}`
        : 'On this version only a superuser can.',
    });
  }
  const { systemIdentifier } = identity;
  return { ...facts, helperSchema: undefined, dataDirectory, systemIdentifier, control: undefined };
}

/** Asks a server whether the role of the INI file may replicate from it, over the protocol that a standby speaks. */
export async function identifyByProtocol(deps: StandbyDeps, host: string, port: number): Promise<Identity> {
  const { settings } = deps;
  const role = settings.repl_db_user ?? settings.user;
  const psql = await findPsql(deps);
  return withAccess(settings, role, (env) => identifyPrimary(deps, psql, { host, port, role, env }));
}

/**
 * Determines the facts about the primary without ssh to its host: every query goes to its server, in one session that
 * stays open during the action.
 */
export async function withPrimaryByProtocol<T>(
  deps: StandbyDeps,
  use: (primary: Primary) => Promise<T>,
): Promise<T> {
  const { settings } = deps;
  const role = settings.repl_db_user ?? settings.user;
  const psql = await findPsql(deps);
  deps.signal.throwIfAborted();
  return withAccess(settings, role, async (env) => {
    const protocol = { host: settings.master_public_ip, port: settings.port, role, env };
    const identity = await identifyPrimary(deps, psql, protocol);
    const { host, port } = protocol;
    const target = { psql, host, port, user: role, database: databaseOf(settings) };
    const runner = localRunner(deps, protocol);
    return withSession(deps, runner, target, async (session) => {
      const facts = await gatherFacts(identity, session.query, role);
      return use({ shell: await shellInstead(deps), facts, ...session, protocol });
    });
  });
}

/** Queries alone, without the facts. */
export async function withProtocolQuery<T>(deps: StandbyDeps, use: (query: Query) => Promise<T>): Promise<T> {
  const { settings } = deps;
  const role = settings.repl_db_user ?? settings.user;
  const psql = await findPsql(deps);
  return withAccess(settings, role, (env) => {
    const protocol = { host: settings.master_public_ip, port: settings.port, role, env };
    const { host, port } = protocol;
    const target = { psql, host, port, user: role, database: databaseOf(settings) };
    return withSession(deps, localRunner(deps, protocol), target, ({ query }) => use(query));
  });
}
