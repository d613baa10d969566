import { open, stat } from 'node:fs/promises';
import { PitrError } from '../../errors.ts';
import type { ControlFile } from '../../postgres/control-file.ts';
import { type CommandResult, describeResult, succeeded } from '../../system/command.ts';
import { fsyncPath } from '../../system/durable.ts';
import type { Environment } from '../../system/environment.ts';
import { readPostmaster } from '../../system/postmaster.ts';
import type { StandbyDeps } from '../deps.ts';
import { readControlFile } from './data-directory.ts';
import type { Server } from './server.ts';
import { type ServerConfiguration, serverOptions } from './server-configuration.ts';
import { requireServerLog, serverLogFile } from './server-log.ts';
import { requirePgCtl } from './server-programs.ts';
import { runSiteCommand } from './shell-command.ts';
import { stopProgress } from './stop-progress.ts';
import { closely, comesTrue, type Look, mustBecome } from './wait.ts';

/** pg_ctl is called without waiting, because its own condition differs by version; it ends at once. */
const pgCtlLimitMs = 30_000;
const shownLogBytes = 4096;
const shownLogLines = 12;

/** The state before we started the server, so that old traces are not mistaken for this run's. */
export interface Started {
  /** In bytes. */
  readonly logOffset: number;
  /** Seconds since 1970, as pg_control has its times. */
  readonly atS: number;
  readonly control: ControlFile | undefined;
}

/** For a server that was running already. */
export const notStartedHere: Started = { logOffset: 0, atS: 0, control: undefined };

async function beforeStart(deps: StandbyDeps): Promise<Started> {
  return {
    logOffset: await logSize(deps),
    atS: Math.floor(deps.now() / 1000),
    control: await readControlFile(deps.settings.pgdata),
  };
}

export async function logSize(deps: StandbyDeps): Promise<number> {
  return (await stat(await serverLogFile(deps.settings)).catch(() => undefined))?.size ?? 0;
}

/** The server's log since its start, or the end of it; undefined if the server logs elsewhere. */
export async function serverLogSince(
  deps: StandbyDeps,
  started: Started,
  atMostBytes: number,
): Promise<string | undefined> {
  const path = await serverLogFile(deps.settings);
  const size = await logSize(deps);
  const from = Math.max(started.logOffset, size - atMostBytes);
  if (size <= from) return undefined;
  const handle = await open(path, 'r').catch(() => undefined);
  try {
    const read = await handle?.read(Buffer.alloc(size - from), 0, size - from, from);
    return read?.buffer.subarray(0, read.bytesRead).toString('utf8');
  } finally {
    await handle?.close();
  }
}

/** The last lines of the server's log since its start. */
export async function serverLogTail(deps: StandbyDeps, started: Started): Promise<string> {
  const path = await serverLogFile(deps.settings);
  const text = await serverLogSince(deps, started, shownLogBytes);
  if (text === undefined) return `nothing new in ${path}: look at the log that postgresql.conf names`;
  return `the end of ${path}:\n${text.trimEnd().split('\n').slice(-shownLogLines).join('\n')}`;
}

/** These characters have a meaning between the double quotes of a shell. */
const specialInDoubleQuotes = /[\\"$`]/g;

/**
 * pg_ctl starts the server by a shell, and puts the value of its -D between double quotes as it is. The server gets
 * such a path from the environment instead.
 */
function placeOf(pgdata: string): { readonly args: readonly string[]; readonly env?: Environment } {
  return pgdata.search(specialInDoubleQuotes) < 0
    ? { args: ['-D', pgdata] }
    : { args: [], env: { PGDATA: pgdata } };
}

async function pgCtl(
  { deps, pgdata, capabilities }: Server,
  args: readonly string[],
): Promise<CommandResult> {
  const command = await requirePgCtl(deps, capabilities);
  const place = placeOf(pgdata);
  const all = [...command.args, ...place.args, ...args];
  return deps.run({ program: command.program, args: all }, { limitMs: pgCtlLimitMs, env: place.env });
}

function describeFailure(result: CommandResult): string {
  const said = result.stdout.trim();
  return `${describeResult(result)}${said === '' ? '' : `; ${said}`}`;
}

async function mustSucceed(what: string, running: Promise<CommandResult>): Promise<void> {
  const result = await running;
  if (!succeeded(result)) throw new PitrError(`${what} failed`, { detail: describeFailure(result) });
}

type OwnCommand = 'start_command' | 'stop_command' | 'restart_command';

/** Runs the site's own command for this, if the INI file has one: a service manager may have to know. Returns whether it has. */
async function runOwnCommand({ deps }: Server, key: OwnCommand): Promise<boolean> {
  const { [key]: own, start_timeout: limitS } = deps.settings;
  if (own === undefined) return false;
  await mustSucceed(`${key} "${own}"`, runSiteCommand(deps, own, limitS * 1000));
  return true;
}

/**
 * The longest time until a postmaster has written its pid file. A postmaster that rejects its configuration never
 * writes it.
 */
const appearS = 5;

/** After this, a server without a pid file has ended. */
async function waitForPidFile(deps: StandbyDeps): Promise<void> {
  const { pgdata } = deps.settings;
  await comesTrue(deps, appearS, async () => (await readPostmaster(pgdata)).kind === 'running', closely);
}

/** Starts the server and returns as soon as its pid file exists. `observeServer` shows how the start continues. */
export async function startServerProgram(
  server: Server,
  configuration: ServerConfiguration,
): Promise<Started> {
  const { deps, pgdata } = server;
  const started = await beforeStart(deps);
  // Files that were just written to pgdata must also exist after a crash.
  await fsyncPath(pgdata);
  deps.report('server starting');
  if (!(await runOwnCommand(server, 'start_command'))) await startByPgCtl(server, configuration, started);
  await waitForPidFile(deps);
  return started;
}

async function startByPgCtl(
  server: Server,
  configuration: ServerConfiguration,
  started: Started,
): Promise<void> {
  const { deps } = server;
  const options = serverOptions(configuration.parameters);
  const given = options === '' ? [] : ['-o', options];
  // Only that shell reads the path of the log.
  const log = (await serverLogFile(deps.settings)).replaceAll(specialInDoubleQuotes, '\\$&');
  const args = ['-W', '-l', log, ...given, 'start'];
  const result = await pgCtl(server, args);
  if (succeeded(result)) return;
  const detail = `${describeResult(result)}\n${await serverLogTail(deps, started)}`;
  throw new PitrError('pg_ctl could not start the server', { detail });
}

async function hasEnded(pgdata: string): Promise<boolean> {
  const { kind } = await readPostmaster(pgdata);
  return kind === 'none' || kind === 'stale';
}

async function stopped(pgdata: string): Promise<Look<undefined>> {
  if (await hasEnded(pgdata)) return { kind: 'done', value: undefined };
  return { kind: 'waiting', progress: await stopProgress(pgdata) };
}

const soonS = 3;

/** Stops the server by a fast shutdown. Returns when none of its processes is left. */
export async function stopServerProgram(server: Server): Promise<void> {
  const { deps, pgdata } = server;
  if (!(await runOwnCommand(server, 'stop_command')))
    await mustSucceed('pg_ctl stop', pgCtl(server, ['-m', 'fast', '-W', 'stop']));
  const { start_timeout: limitS } = deps.settings;
  const waitS = Math.min(soonS, limitS);
  // To look at the progress takes more time than most stops do.
  if (await comesTrue(deps, waitS, () => hasEnded(pgdata), closely)) return;
  await mustBecome(
    deps,
    limitS - waitS,
    () => stopped(pgdata),
    () =>
      new PitrError(`the server in "${pgdata}" has not stopped`, {
        detail: `nothing moved for ${limitS} s`,
        hint: 'Look at its log: it may still be writing its last checkpoint. Raise start_timeout: if it needs longer.',
      }),
  );
}

/**
 * Ends a server that does not come to the end of its shutdown, as a crash would: its next start recovers. Returns when
 * none of its processes is left.
 */
export async function stopServerAtOnce(server: Server): Promise<void> {
  const { deps, pgdata } = server;
  await mustSucceed('pg_ctl stop -m immediate', pgCtl(server, ['-m', 'immediate', '-W', 'stop']));
  await mustBecome(
    deps,
    deps.settings.start_timeout,
    () => stopped(pgdata),
    (detail) => new PitrError(`the server in "${pgdata}" does not end`, { detail }),
  );
}

export async function restartServerProgram(
  server: Server,
  configuration: ServerConfiguration,
): Promise<Started> {
  const started = await beforeStart(server.deps);
  if (!(await runOwnCommand(server, 'restart_command'))) {
    if (server.deps.settings.start_command === undefined) await requireServerLog(server.deps.settings);
    await stopServerProgram(server);
    return startServerProgram(server, configuration);
  }
  await waitForPidFile(server.deps);
  return started;
}

/** The server was not asked to open: the program that asks it could not be started, or has refused. */
export class NotAskedToOpen extends PitrError {}

async function runPromotion(server: Server): Promise<CommandResult> {
  const { deps } = server;
  const { promote_command: own, start_timeout: limitS } = deps.settings;
  if (own !== undefined) return runSiteCommand(deps, own, limitS * 1000);
  try {
    return await pgCtl(server, ['-W', 'promote']);
  } catch (error) {
    if (!(error instanceof PitrError)) throw error;
    throw new NotAskedToOpen(error.message, error);
  }
}

/** Asks a standby to end its recovery (9.1 and later) and returns at once. */
export async function promoteServerProgram(server: Server): Promise<void> {
  const { promote_command: own } = server.deps.settings;
  const result = await runPromotion(server);
  if (succeeded(result)) return;
  const what = own === undefined ? 'pg_ctl promote' : `promote_command "${own}"`;
  // pg_ctl asks last of all. A site's own command may fail after that.
  const isAsked = result.kind !== 'not-started' && (own !== undefined || result.kind !== 'exited');
  const Failure = isAsked ? PitrError : NotAskedToOpen;
  throw new Failure(`${what} failed`, { detail: describeFailure(result) });
}
