import { PitrError, refusal } from '../../errors.ts';
import {
  dataDirectoriesSql,
  dataDirectorySql,
  findHelpers,
  installedHelpersSql,
  installHint,
  parseDataDirectory,
  parseTablespaces,
  parseWalPosition,
  serverVersionSql,
  type Tablespace,
  tablespacesSql,
  walPositionSql,
} from '../../postgres/backup-sql.ts';
import { type Capabilities, capabilitiesOf } from '../../postgres/capabilities.ts';
import { checkControlFile, type ControlFile, controlFileBytes } from '../../postgres/control-file.ts';
import {
  parseServerSettings,
  type ServerSettings,
  serverSettingsSql,
} from '../../postgres/server-settings.ts';
import { parseVersion } from '../../postgres/version.ts';
import { noiseHint, type RemoteShell } from '../../system/ssh.ts';
import { sshTarget } from '../../system/ssh-target.ts';
import type { StandbyDeps } from '../deps.ts';
import { databaseOf, psqlTarget } from '../server/database.ts';
import { readRemoteFile } from './remote-files.ts';
import { type Query, rejectWhenAborted, type ServerSession, withSession } from './session.ts';

/** The connection to the primary's host and its server, held open during one action. */
export interface Primary extends ServerSession {
  readonly shell: RemoteShell;
  readonly facts: PrimaryFacts;
  /** Another standby of the primary, if the files are read from it. */
  readonly source?: Primary;
  /** How PostgreSQL's programs reach the server from here; only if the INI file queries it without ssh. */
  readonly protocol?: ProtocolAccess;
}

export interface ProtocolAccess {
  readonly host: string;
  readonly port: number;
  readonly role: string;
  /** Where libpq finds the password, and how it encrypts. */
  readonly env: Readonly<Record<string, string>>;
}

export interface PrimaryFacts {
  readonly capabilities: Capabilities;
  /** The schema of the helper functions; undefined where they are not needed. */
  readonly helperSchema: string | undefined;
  readonly settings: ServerSettings;
  readonly dataDirectory: string;
  readonly tablespaces: readonly Tablespace[];
  /** Decimal. */
  readonly systemIdentifier: string;
  /** Undefined if only SQL can query the primary. */
  readonly control: ControlFile | undefined;
  /** The timeline that the server writes now; undefined if it is in recovery. */
  readonly timeline: number | undefined;
}

/** A server that is reached by ssh to its host and by psql there. */
interface ServerPlace {
  /** The name in messages: `the primary`. */
  readonly what: string;
  readonly host: string;
  /** Where psql finds the server when it runs on that host. */
  readonly localAddress: string;
  readonly port: number;
}

/** The schema that contains the helper functions. */
async function requireHelpers(deps: StandbyDeps, capabilities: Capabilities, query: Query): Promise<string> {
  const helpers = findHelpers(await query(installedHelpersSql));
  if (helpers.kind === 'found') return helpers.schema;
  const { missing, foreign } = helpers;
  throw refusal(`the primary lacks helper functions: ${missing.join(', ')}`, {
    detail:
      foreign.length === 0
        ? undefined
        : `functions of these names that belong to ${foreign.join(', ')} are not called as a superuser`,
    hint: installHint(capabilities, deps.settings.user, databaseOf(deps.settings)),
  });
}

const controlAttempts = 5;

/** pg_control of the server; the server may be writing the file while it is read. */
export async function readRemoteControl(
  shell: RemoteShell,
  dataDirectory: string,
): Promise<{ readonly bytes: Buffer; readonly control: ControlFile }> {
  const path = `${dataDirectory}/global/pg_control`;
  for (let attempt = 1; ; attempt += 1) {
    const bytes = await readRemoteFile(shell, path, controlFileBytes);
    const check = checkControlFile(bytes);
    if (check.kind === 'good') return { bytes, control: check.control };
    if (attempt === controlAttempts)
      throw new PitrError(`"${path}" on ${shell.target.what} cannot be used: ${check.reason}`);
  }
}

/** Asks a server for the facts that SQL alone gives. */
export async function askFacts(query: Query) {
  const capabilities = capabilitiesOf(parseVersion((await query(serverVersionSql))[0]?.[0] ?? ''));
  const settings = parseServerSettings(await query(serverSettingsSql(capabilities)));
  const tablespaces = parseTablespaces(await query(tablespacesSql(capabilities)));
  const timeline = settings.inRecovery
    ? undefined
    : parseWalPosition(await query(walPositionSql(capabilities))).timeline;
  return { capabilities, settings, tablespaces, timeline };
}

async function gatherFacts(deps: StandbyDeps, shell: RemoteShell, query: Query): Promise<PrimaryFacts> {
  const facts = await askFacts(query);
  const helperSchema = await requireHelpers(deps, facts.capabilities, query);
  for (const [directory] of await query(dataDirectoriesSql(helperSchema))) deps.log.debug(directory ?? '');
  const dataDirectory = parseDataDirectory(await query(dataDirectorySql(helperSchema)));
  const { control } = await readRemoteControl(shell, dataDirectory);
  return { ...facts, helperSchema, dataDirectory, systemIdentifier: control.systemIdentifier, control };
}

/**
 * Connects to a server, once by ssh and once by psql over it, determines what it is, and ends both connections
 * afterwards.
 */
export async function withServer<T>(
  deps: StandbyDeps,
  place: ServerPlace,
  use: (server: Primary) => Promise<T>,
): Promise<T> {
  return withServerSession(deps, place, async (shell, session) =>
    use({ shell, facts: await gatherFacts(deps, shell, session.query), ...session }),
  );
}

/** The same for a caller that determines the facts it needs by itself. */
export async function withServerSession<T>(
  deps: StandbyDeps,
  place: ServerPlace,
  use: (shell: RemoteShell, session: ServerSession) => Promise<T>,
): Promise<T> {
  const target = await sshTarget({ ...deps.settings, ...place }, deps.settings);
  deps.signal.throwIfAborted();
  const stop = rejectWhenAborted(deps.signal);
  const psql = psqlTarget(deps.settings, place.localAddress, place.port);
  const work = deps.withRemoteShell(deps, target, (shell) => {
    // From here on a stop must let running work undo itself; only the login may be abandoned.
    stop.release();
    return withSession(deps, shell, psql, (session) => use(shell, session));
  });
  const result = await Promise.race([work, stop.aborted]).finally(stop.release);
  if (result.kind === 'used') return result.value;
  throw new PitrError(`cannot reach ${place.what} ${target.user}@${target.host} over ssh`, {
    detail: result.reason,
    hint:
      result.kind === 'noisy'
        ? noiseHint
        : `It must work by hand, without a password: ssh ${target.user}@${target.host} true`,
  });
}

export async function withPrimary<T>(deps: StandbyDeps, use: (primary: Primary) => Promise<T>): Promise<T> {
  const { master_public_ip: host, master_local_ip: localAddress, port } = deps.settings;
  return withServer(deps, { what: 'the primary', host, localAddress, port }, use);
}
