import { serverProcesses } from '../../system/postmaster.ts';
import { titleOf } from '../../system/processes.ts';
import { serverLogSince, type Started } from './local-server.ts';
import type { Server } from './server.ts';
import { observeServer, rowsOf } from './server-state.ts';
import { type Look, waitUntil } from './wait.ts';

/** The messages by which the versions report a stream that the primary refuses, or that cannot begin. */
const refusedStream =
  /could not connect to the primary server|could not (?:start WAL streaming|receive data from WAL stream)|could not receive database system identifier|invalid response from primary server|database system identifier differs|highest timeline \d+ of the primary is behind|replication slot ".*" does not exist/;
const begunStream = /started streaming WAL from primary|streaming replication successfully connected/;
/** A primary that is being restarted refuses once or twice. */
const enoughRefusals = 4;
const readLogBytes = 64 * 1024;

/** The WAL receiver's title once it has received something: "walreceiver streaming 0/3000060". */
const streamingTitle = /^postgres: .*(?:wal receiver process|walreceiver)\s+streaming /;

const receiverTitle = /^postgres: .*(?:wal receiver process|walreceiver)/;

/** The WAL receiver by its title, which shows whether it has received something; undefined if there is none. */
export async function receiverInTitles(pgdata: string): Promise<{ readonly streams: boolean } | undefined> {
  for (const pid of await serverProcesses(pgdata)) {
    const title = await titleOf(pid);
    if (receiverTitle.test(title)) return { streams: streamingTitle.test(title) };
  }
  return undefined;
}

/** Signs of the stream in the server's log since it was started. */
export interface StreamInLog {
  readonly hasBegun: boolean;
  /** The lines that report a refusal after which no stream began. */
  readonly refusals: readonly string[];
}

export function streamInLog(text: string): StreamInLog {
  const lines = text.split('\n');
  const begun = lines.findLastIndex((line) => begunStream.test(line));
  const refusals = lines.slice(begun + 1).filter((line) => refusedStream.test(line));
  return { hasBegun: begun >= 0 && refusals.length === 0, refusals };
}

async function hasStreamingTitle(pgdata: string): Promise<boolean> {
  return (await receiverInTitles(pgdata))?.streams === true;
}

/** Other roles than a superuser or a reader of all statistics see only the pid, so an empty answer proves nothing. */
async function saysItStreams(server: Server): Promise<boolean> {
  if (!server.capabilities.hasStatWalReceiver) return false;
  const rows = await rowsOf(server, 'SELECT status FROM pg_stat_wal_receiver');
  return rows?.[0]?.['status'] === 'streaming';
}

/**
 * Waits until the WAL receiver is streaming. The server says so (from 9.6), its process title does, or its log. As long
 * as a standby makes progress by replaying the archive, we keep waiting.
 */
export async function waitUntilStreaming(
  server: Server,
  started: Started,
): Promise<Exclude<Look<undefined>, { kind: 'waiting' }>> {
  const { deps, pgdata } = server;
  // Each progress resets the count of refusals: the archive may bring the WAL that streaming needs.
  let counted = { progress: '', refusals: 0 };
  return waitUntil(deps, deps.settings.start_timeout, async () => {
    const text = (await serverLogSince(deps, started, readLogBytes)) ?? '';
    const { hasBegun, refusals } = streamInLog(text);
    if (hasBegun || (await hasStreamingTitle(pgdata)) || (await saysItStreams(server)))
      return { kind: 'done', value: undefined };
    const state = await observeServer(server, started);
    if (state.kind === 'stopped') return { kind: 'failed', reason: 'the server has stopped' };
    if (state.kind === 'production') return { kind: 'failed', reason: 'the server is out of recovery' };
    const { progress } = state;
    if (progress !== counted.progress) counted = { progress, refusals: refusals.length };
    const last = refusals.at(-1);
    if (last !== undefined && refusals.length - counted.refusals >= enoughRefusals)
      return { kind: 'failed', reason: last.trim() };
    return { kind: 'waiting', progress, isQuiet: state.kind === 'recovering' && state.answers };
  });
}
