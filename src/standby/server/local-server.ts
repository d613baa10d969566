import { open, stat } from 'node:fs/promises';
import { PitrError } from '../../errors.ts';
import type { ControlFile } from '../../postgres/control-file.ts';
import { type CommandResult, describeResult, succeeded } from '../../system/command.ts';
import { fsyncPath } from '../../system/durable.ts';
import { readPostmaster } from '../../system/postmaster.ts';
import type { StandbyDeps } from '../deps.ts';
import { readControlFile } from './data-directory.ts';
import type { Server } from './server.ts';
import { type ServerConfiguration, serverOptions } from './server-configuration.ts';
import { serverLogFile } from './server-log.ts';
import { requirePgCtl } from './server-programs.ts';
import { runSiteCommand } from './shell-command.ts';
import { stopProgress } from './stop-progress.ts';
import { comesTrue, type Look, mustBecome } from './wait.ts';

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

async function logSize(deps: StandbyDeps): Promise<number> {
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

async function pgCtl(
  { deps, pgdata, capabilities }: Server,
  args: readonly string[],
): Promise<CommandResult> {
  const command = await requirePgCtl(deps, capabilities);
  const all = [...command.args, '-D', pgdata, ...args];
  return deps.run({ program: command.program, args: all }, { limitMs: pgCtlLimitMs });
}

function siteLimitMs(deps: StandbyDeps): number {
  return deps.settings.start_timeout * 1000;
}

function requireSuccess(result: CommandResult, what: string): void {
  if (succeeded(result)) return;
  const said = result.stdout.trim();
  throw new PitrError(`${what} failed`, {
    detail: `${describeResult(result)}${said === '' ? '' : `; ${said}`}`,
  });
}

/**
 * The longest time until a postmaster has written its pid file. A postmaster that rejects its configuration never
 * writes it.
 */
const appearS = 5;

/** After this, a server without a pid file has ended. */
async function waitForPidFile(deps: StandbyDeps): Promise<void> {
  const { pgdata } = deps.settings;
  await comesTrue(deps, appearS, async () => (await readPostmaster(pgdata)).kind === 'running');
}

/** Starts the server and returns as soon as its pid file exists. `observeServer` shows how the start continues. */
export async function startServerProgram(
  server: Server,
  configuration: ServerConfiguration,
): Promise<Started> {
  const { deps, pgdata } = server;
  const started = await beforeStart(deps);
  const { start_command: own } = deps.settings;
  // Files that were just written to pgdata must also exist after a crash.
  await fsyncPath(pgdata);
  deps.report('server starting');
  if (own === undefined) await startByPgCtl(server, configuration, started);
  else requireSuccess(await runSiteCommand(deps, own, siteLimitMs(deps)), `start_command "${own}"`);
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
  const args = ['-W', '-l', await serverLogFile(deps.settings), ...given, 'start'];
  const result = await pgCtl(server, args);
  if (succeeded(result)) return;
  const detail = `${describeResult(result)}\n${await serverLogTail(deps, started)}`;
  throw new PitrError('pg_ctl could not start the server', { detail });
}

async function stopped(pgdata: string): Promise<Look<undefined>> {
  const postmaster = await readPostmaster(pgdata);
  if (postmaster.kind === 'none' || postmaster.kind === 'stale') return { kind: 'done', value: undefined };
  return { kind: 'waiting', progress: await stopProgress(pgdata) };
}

/** Stops the server by a fast shutdown. Returns when none of its processes is left. */
export async function stopServerProgram(server: Server): Promise<void> {
  const { deps, pgdata } = server;
  const { stop_command: own, start_timeout: limitS } = deps.settings;
  const result =
    own === undefined
      ? await pgCtl(server, ['-m', 'fast', '-W', 'stop'])
      : await runSiteCommand(deps, own, siteLimitMs(deps));
  requireSuccess(result, own === undefined ? 'pg_ctl stop' : `stop_command "${own}"`);
  await mustBecome(
    deps,
    limitS,
    () => stopped(pgdata),
    (detail) =>
      new PitrError(`the server in "${pgdata}" has not stopped`, {
        detail,
        hint: 'Look at its log: it may still be writing its last checkpoint. Raise start_timeout: if it needs longer.',
      }),
  );
}

/** Uses the site's own command if there is one, because a service manager may have to know of the stop. */
export async function restartServerProgram(
  server: Server,
  configuration: ServerConfiguration,
): Promise<Started> {
  const { deps } = server;
  const { restart_command: own } = deps.settings;
  if (own === undefined) {
    await stopServerProgram(server);
    return startServerProgram(server, configuration);
  }
  const started = await beforeStart(deps);
  requireSuccess(await runSiteCommand(deps, own, siteLimitMs(deps)), `restart_command "${own}"`);
  await waitForPidFile(deps);
  return started;
}

/** Asks a standby to end its recovery (9.1 and later) and returns at once. */
export async function promoteServerProgram(server: Server): Promise<void> {
  const { deps } = server;
  const { promote_command: own } = deps.settings;
  const result =
    own === undefined
      ? await pgCtl(server, ['-W', 'promote'])
      : await runSiteCommand(deps, own, siteLimitMs(deps));
  requireSuccess(result, own === undefined ? 'pg_ctl promote' : `promote_command "${own}"`);
}
