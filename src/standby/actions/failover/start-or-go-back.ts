import { dirname } from 'node:path';
import { messageOf, PitrError } from '../../../errors.ts';
import { promotingAction } from '../../deps.ts';
import { type Started, startServerProgram } from '../../server/local-server.ts';
import { reaches } from '../../server/reach.ts';
import type { Server } from '../../server/server.ts';
import { readConfiguration } from '../../server/server-configuration.ts';
import { writeForServer } from '../../server/server-modes.ts';
import { observeServer, rowsOf, type ServerState } from '../../server/server-state.ts';
import { stopProgress } from '../../server/stop-progress.ts';
import { type Look, waitUntil } from '../../server/wait.ts';

/** The files that a failover configuration replaces, with their former contents. */
export type Old = readonly { readonly path: string; readonly content: Buffer | undefined }[];

export async function writeBack(old: Old): Promise<void> {
  for (const { path, content } of old)
    if (content !== undefined) await writeForServer(dirname(path), path, content);
}

export function correctThem({ deps }: Server): string {
  return `Correct pg_conf_failover and pg_hba_conf_failover if the reason lies there; then run ${promotingAction(deps)} again to put them into force.`;
}

/** Why a server that was started or restarted does not serve. */
interface Problem {
  readonly reason: string;
  /** False if the old server did not even end. */
  readonly wasStarted: boolean;
}

function serves(state: ServerState): boolean {
  return state.kind === 'production' && state.answers;
}

/** Starts a server and waits until it serves. */
export async function tryStart(server: Server, start: () => Promise<Started>): Promise<Problem | undefined> {
  try {
    const started = await start();
    const end = await reaches({ server, started }, serves);
    return end.kind === 'done' ? undefined : { reason: end.reason, wasStarted: true };
  } catch (error) {
    if (!(error instanceof PitrError)) throw error;
    return { reason: [messageOf(error), error.detail].filter(Boolean).join('; '), wasStarted: false };
  }
}

type Left = 'ended' | 'serves' | 'there';

/** A stopping server may need long for its last checkpoint. A running postmaster does not prove that the server serves. */
async function waitForEnd(server: Server): Promise<Left> {
  const { deps } = server;
  const look = async (): Promise<Look<Left>> => {
    const state = await observeServer(server);
    if (state.kind === 'stopped') return { kind: 'done', value: 'ended' };
    if (serves(state)) return { kind: 'done', value: 'serves' };
    return { kind: 'waiting', progress: await stopProgress(deps.settings.pgdata) };
  };
  const end = await waitUntil(deps, deps.settings.start_timeout, look);
  return end.kind === 'done' ? end.value : 'there';
}

interface Outcome {
  readonly now: string;
  readonly hint: string;
}

function whenItHasEnded({ deps }: Server): string {
  return `It answers nobody. Look at its log, and wait until it has ended; then run ${promotingAction(deps)} again, which starts it with the failover configuration and finishes what is left.`;
}

/** A production server that runs with the standby's files is better than one that a mistake in a file keeps from running. */
async function goBack(server: Server, old: Old, { wasStarted }: Problem): Promise<Outcome> {
  await writeBack(old);
  const left = await waitForEnd(server);
  if (left === 'there')
    return {
      now: `the server is still ${wasStarted ? 'starting' : 'stopping'}`,
      hint: whenItHasEnded(server),
    };
  if (left === 'serves') {
    await rowsOf(server, 'SELECT pg_reload_conf()');
    return { now: 'the server runs', hint: correctThem(server) };
  }
  // pgdata contains the former files again, whatever the INI file says. Only the parameters of the start are the standby's.
  const before = await readConfiguration(server, 'standby');
  const problem = await tryStart(server, () => startServerProgram(server, before));
  const now =
    problem === undefined
      ? 'the server runs with its former configuration'
      : `and not with its former configuration either: ${problem.reason}`;
  return { now, hint: correctThem(server) };
}

/**
 * Starts or restarts a server with the failover configuration. If that fails, the server gets its former configuration
 * back.
 */
export async function startOrGoBack(server: Server, old: Old, start: () => Promise<Started>): Promise<void> {
  const problem = await tryStart(server, start);
  if (problem === undefined) return;
  const { now, hint } = await goBack(server, old, problem);
  const what = problem.wasStarted ? 'does not start' : 'was not restarted';
  throw new PitrError(`the server ${what} with the failover configuration; ${now}`, {
    detail: problem.reason,
    hint,
  });
}
