import { join } from 'node:path';
import { messageOf, refusal } from '../../errors.ts';
import type { Capabilities } from '../../postgres/capabilities.ts';
import type { ClusterState, ControlFile } from '../../postgres/control-file.ts';
import { parseLsn } from '../../postgres/lsn.ts';
import { exists } from '../../system/durable.ts';
import type { LocalServer } from '../../system/libpq-access.ts';
import type { LocalResult, LocalSql } from '../../system/local-sql.ts';
import { type Postmaster, readPostmaster } from '../../system/postmaster.ts';
import { isSameDirectory, pidsWorkingIn, titleOf } from '../../system/processes.ts';
import type { StandbyDeps } from '../deps.ts';
import { readControlFile } from './data-directory.ts';
import { databaseOf } from './database.ts';
import { localServerAt, mayListen } from './local-address.ts';
import { notStartedHere, type Started } from './local-server.ts';
import { logIn } from './log-in.ts';
import type { Server } from './server.ts';
import { type ConfigurationRole, readConfiguration } from './server-configuration.ts';

/** The state of this host's server. */
export type ServerState =
  | { readonly kind: 'stopped' }
  /** A server runs, and it is not known yet whether it recovers or serves. */
  | { readonly kind: 'starting'; readonly progress: string }
  | {
      readonly kind: 'recovering';
      /** Whether the server said so itself: only a hot standby answers queries. */
      readonly answers: boolean;
      /** The location that it has replayed, if it reports that. */
      readonly replayed?: bigint | undefined;
      readonly progress: string;
    }
  | { readonly kind: 'production'; readonly answers: boolean };

const sqlLimitMs = 5_000;

async function isServerOf(pgdata: string, sql: LocalSql): Promise<boolean> {
  const [row] = await sql("SELECT current_setting('data_directory') AS data_directory");
  return isSameDirectory(String(row?.['data_directory']), pgdata);
}

/**
 * Connects to this host's server, wherever it listens. Up to 9.0 nothing shows whether a running server was started
 * with the standby's configuration or with the failover's, which may have another port. Another server may answer at
 * that port, such as a primary on this host. The server must therefore prove first that it is ours.
 */
export async function withLocalServer<T>(
  server: Server,
  use: (sql: LocalSql) => Promise<T>,
  limitMs = sqlLimitMs,
): Promise<LocalResult<T>> {
  const { deps, pgdata } = server;
  const postmaster = await readPostmaster(pgdata);
  // Until it listens itself, another server may answer at its port, such as a primary on this host.
  if (!mayListen(postmaster)) return { kind: 'no-server', reason: 'it does not listen yet' };
  const addressAs = async (role: ConfigurationRole): Promise<LocalServer> => {
    const { inFile } = await readConfiguration(server, role);
    return localServerAt(deps.settings, postmaster, inFile);
  };
  const address = await addressAs('standby');
  const first = await logIn(deps, address, limitMs, use);
  const isTold = postmaster.kind !== 'running' || postmaster.port !== undefined;
  if (isTold || first.kind !== 'no-server') return first;
  const other = await addressAs('failover');
  if (other.host === address.host && other.port === address.port) return first;
  const second = await logIn(deps, other, limitMs, async (sql) => {
    if (await isServerOf(pgdata, sql)) return use(sql);
    throw new Error(`the server at port ${other.port} is another one`);
  });
  if (second.kind !== 'no-server') return second;
  return { kind: 'no-server', reason: `${first.reason}; ${second.reason}` };
}

const leftoverPollMs = 200;

/** Waits until the remaining processes of a killed server have ended by themselves, for as long as we wait for the primary. */
export async function settledPostmaster(
  deps: Pick<StandbyDeps, 'settings' | 'monotonicMs' | 'pause'>,
): Promise<Postmaster> {
  const endMs = deps.monotonicMs() + deps.settings.failover_probe_timeout * 1000;
  for (;;) {
    const postmaster = await readPostmaster(deps.settings.pgdata);
    if (postmaster.kind !== 'unclear' || postmaster.endsByItself !== true) return postmaster;
    if (deps.monotonicMs() >= endMs) return postmaster;
    await deps.pause(leftoverPollMs);
  }
}

/** An unreadable pid file does not mean "not running". */
export async function requireClearPostmaster(deps: StandbyDeps): Promise<Postmaster> {
  deps.log.notice('check_pgpid_func()');
  const postmaster = await settledPostmaster(deps);
  if (postmaster.kind !== 'unclear') return postmaster;
  throw refusal(`cannot determine whether PostgreSQL runs in "${deps.settings.pgdata}"`, {
    detail: postmaster.reason,
    hint: 'Stop that server where it was started, end those processes, or make the file readable; then run this again.',
  });
}

/** The title of the startup process, which contains the segment that it replays. */
export async function startupTitle(pgdata: string): Promise<string> {
  for (const pid of await pidsWorkingIn(pgdata)) {
    const title = await titleOf(pid);
    if (/^postgres: .*startup/.test(title)) return title;
  }
  return '';
}

/** Replay also updates minRecoveryLsn between restartpoints. If its offset is unknown, a new checksum shows the change. */
function describeControl(control: ControlFile | undefined): string {
  if (control === undefined) return '0 0';
  const { checkpointLsn, time, state, checksum, progress } = control;
  return `${checkpointLsn} ${time} ${state} ${progress?.minRecoveryLsn ?? 0n} ${checksum}`;
}

/** NULL before anything has been replayed. */
function lsnOf(text: string): bigint | undefined {
  return text.includes('/') ? parseLsn(text) : undefined;
}

interface Answer {
  readonly recovering: boolean;
  readonly replayed: string;
}

async function ask(capabilities: Capabilities, sql: LocalSql): Promise<Answer> {
  const { isInRecoveryFunction, lastReplayLsnFunction } = capabilities;
  // A server that answers queries, but could not during recovery (8.4), is out of recovery.
  if (isInRecoveryFunction === undefined) return { recovering: false, replayed: '' };
  const [row] = await sql(
    `SELECT ${isInRecoveryFunction}() AS recovering, ${lastReplayLsnFunction ?? 'NULL'}${lastReplayLsnFunction === undefined ? '' : '()'}::text AS replayed`,
  );
  return { recovering: row?.['recovering'] === true, replayed: String(row?.['replayed']) };
}

/** The states that a server writes after the first phase of its start. */
function fromControl(state: ClusterState, progress: string): ServerState {
  if (state === 'in-archive-recovery') return { kind: 'recovering', answers: false, progress };
  if (state === 'in-production') return { kind: 'production', answers: false };
  return { kind: 'starting', progress };
}

/**
 * For a while after its start, a server leaves pg_control unchanged: in the state of an earlier run or, in a base
 * backup, in the primary's state "in production", perhaps with a time in this very second. It removes backup_label
 * after it has written that it recovers.
 */
async function isFromBefore(control: ControlFile, pgdata: string, started: Started): Promise<boolean> {
  const { control: before, atS } = started;
  const isUnchanged = before === undefined || control.checksum === before.checksum;
  // This host's clock may have been set back since, and the primary's may be ahead. Times therefore prove something
  // only if the contents are unchanged, because two writes within one second may produce the same bytes.
  if (isUnchanged && control.time < BigInt(atS)) return true;
  if (control.state !== 'in-production') return false;
  return control.checksum === before?.checksum || exists(join(pgdata, 'backup_label'));
}

/**
 * A server that cannot answer during recovery (8.4) logs a refusal for each attempt. Its pg_control says "in archive
 * recovery" until it has opened, so no query is needed.
 */
async function recoversInSilence(
  { pgdata, capabilities }: Server,
  started: Started,
): Promise<ServerState | undefined> {
  if (capabilities.isInRecoveryFunction !== undefined) return undefined;
  const control = await readControlFile(pgdata);
  if (control?.state !== 'in-archive-recovery' || (await isFromBefore(control, pgdata, started)))
    return undefined;
  const progress = `${describeControl(control)} ${await startupTitle(pgdata)}`;
  return { kind: 'recovering', answers: false, progress };
}

/** @param started the state before the start by this run, or `notStartedHere` */
export async function observeServer(server: Server, started = notStartedHere): Promise<ServerState> {
  const { deps, pgdata, capabilities } = server;
  const postmaster = await readPostmaster(pgdata);
  if (postmaster.kind === 'unclear') return { kind: 'starting', progress: postmaster.reason };
  if (postmaster.kind !== 'running') return { kind: 'stopped' };
  const silent = await recoversInSilence(server, started);
  if (silent !== undefined) return silent;
  const answer = await withLocalServer(server, (sql) => ask(capabilities, sql));
  const control = await readControlFile(pgdata);
  const progress = `${describeControl(control)} ${await startupTitle(pgdata)}`;
  if (answer.kind === 'answered') {
    const { recovering, replayed } = answer.value;
    if (!recovering) return { kind: 'production', answers: true };
    const replayedLsn = lsnOf(replayed);
    return { kind: 'recovering', answers: true, replayed: replayedLsn, progress: `${progress} ${replayed}` };
  }
  deps.log.debug(`the server does not answer: ${answer.reason}`);
  if (control === undefined || (await isFromBefore(control, pgdata, started)))
    return { kind: 'starting', progress };
  return fromControl(control.state, progress);
}

/** The rows of one statement that this host's server answers; undefined if it does not answer. */
export async function rowsOf(
  server: Server,
  ...statement: Parameters<LocalSql>
): Promise<Awaited<ReturnType<LocalSql>> | undefined> {
  const answer = await withLocalServer(server, (sql) => sql(...statement));
  return answer.kind === 'answered' ? answer.value : undefined;
}

/** Runs one statement on a server that must answer. */
export async function mustAnswer<T>(
  server: Server,
  what: string,
  use: (sql: LocalSql) => Promise<T>,
  limitMs = sqlLimitMs,
): Promise<T> {
  const result = await withLocalServer(server, use, limitMs);
  if (result.kind === 'answered') return result.value;
  const { settings } = server.deps;
  throw refusal(`${what}: the server here does not answer`, {
    detail: messageOf(result.reason),
    hint: `The user "${settings.user}" must be able to connect to database ${databaseOf(settings)} here without a password prompt.`,
  });
}
