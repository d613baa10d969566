import { PitrError } from '../../errors.ts';
import { firstLsnOf, formatLsn, segmentContaining } from '../../postgres/lsn.ts';
import { sqlLiteral } from '../../postgres/quoting.ts';
import { parseWalName, type SegmentName } from '../../postgres/wal-name.ts';
import { arrivalOf } from '../archive/arrival.ts';
import { restartServerProgram, serverLogSince, serverLogTail, type Started } from '../server/local-server.ts';
import type { Server } from '../server/server.ts';
import type { ServerConfiguration } from '../server/server-configuration.ts';
import { observeServer, rowsOf, startupTitle } from '../server/server-state.ts';
import { streamInLog } from '../server/streaming.ts';
import { type Look, waitUntil } from '../server/wait.ts';
import { endSegmentThere, type Host, type HostFacts } from './host.ts';
import type { Address } from './ini-file.ts';

/** The way in which this standby was seen to get the WAL of the server that it follows. */
export interface Followed {
  readonly by: 'streaming' | 'archive';
  readonly timeline: number;
  /** Received from there; from the archive, replayed, unless it is still to be replayed. */
  readonly lsn: bigint;
  readonly isDelayed?: true;
}

/** The way in which this standby is to get WAL. */
export interface Manner {
  readonly streams: boolean;
  /** It replays late, on purpose, and may ask for a stream only then: that its archive gets WAL is all that can be seen. */
  readonly isDelayed: boolean;
  /** With it the server is started again, once WAL of the new timeline has come. */
  readonly restart?: ServerConfiguration;
}

interface Following {
  readonly server: Server;
  readonly started: Started;
  readonly address: Address;
  readonly facts: HostFacts;
}

const readLogBytes = 64 * 1024;
/** A primary that is being restarted refuses once or twice. */
const enoughRefusals = 4;

/** The value of a parameter in the text of pg_stat_wal_receiver.conninfo, where no value is quoted. */
function parameterIn(conninfo: string, name: string): string | undefined {
  return new RegExp(`(?:^| )${name}=(\\S*)`).exec(conninfo)?.[1];
}

/** The stream as the server describes it (from 9.6); undefined unless it comes from there, on its timeline. */
async function streamFrom({ server, address, facts }: Following): Promise<Followed | undefined> {
  if (!server.capabilities.hasStatWalReceiver) return undefined;
  const { lastReceiveLsnFunction: receive } = server.capabilities;
  const [row] =
    (await rowsOf(
      server,
      `SELECT status, received_tli::int AS timeline, conninfo, ('x' || lpad(split_part(at, '/', 1), 8, '0'))::bit(32)::bigint::text AS high, ('x' || lpad(split_part(at, '/', 2), 8, '0'))::bit(32)::bigint::text AS low FROM pg_stat_wal_receiver, (SELECT ${receive ?? 'NULL'}()::text AS at) AS received`,
    )) ?? [];
  if (row?.['status'] !== 'streaming') return undefined;
  const conninfo = String(row['conninfo']);
  const timeline = Number(row['timeline']);
  const isThere =
    parameterIn(conninfo, 'host') === address.host && parameterIn(conninfo, 'port') === String(address.port);
  if (!isThere || timeline < facts.timeline) return undefined;
  const lsn = (BigInt(String(row['high'])) << 32n) | BigInt(String(row['low']));
  return { by: 'streaming', timeline, lsn };
}

type Seen = Exclude<Look<Followed>, { kind: 'waiting' }>;

/** A server that was restarted for this, and cannot be asked, shows the stream in its log. */
function streamInItsLog(text: string, { server, facts }: Following, isHot: boolean): Followed | undefined {
  if (isHot && server.capabilities.hasStatWalReceiver) return undefined;
  if (!streamInLog(text).hasBegun) return undefined;
  return { by: 'streaming', timeline: facts.timeline, lsn: facts.lsn };
}

/**
 * A standby that answers nobody logs nothing if it streams from there already, as in a --follow that is run again. The server there
 * names those that stream from it.
 */
export async function streamSeenThere(
  { server, facts }: Pick<Following, 'server' | 'facts'>,
  { query }: Pick<Host, 'query'>,
): Promise<Followed | undefined> {
  const name = sqlLiteral(server.deps.hostName);
  const rows = await query(
    `SELECT 1 FROM pg_stat_replication WHERE state = 'streaming' AND application_name = ${name}`,
  );
  return rows.length === 0 ? undefined : { by: 'streaming', timeline: facts.timeline, lsn: facts.lsn };
}

async function seeStream(
  following: Following,
  host: Host,
  text: string,
  isHot: boolean,
): Promise<Followed | undefined> {
  const { hasStatWalReceiver, reloadsPrimaryConninfo } = following.server.capabilities;
  const seen = (await streamFrom(following)) ?? streamInItsLog(text, following, isHot);
  if (seen !== undefined || (isHot && hasStatWalReceiver) || !reloadsPrimaryConninfo) return seen;
  return streamSeenThere(following, host);
}

/**
 * Waits until the WAL receiver streams from the server that is to be followed, on its timeline. As long as replay makes
 * progress we keep waiting: the archive may bring the WAL that streaming needs.
 */
async function seeItStream(following: Following, host: Host): Promise<Seen> {
  const { server, started } = following;
  const { deps } = server;
  let counted = { progress: '', refusals: 0 };
  return waitUntil(deps, deps.settings.start_timeout, async () => {
    const state = await observeServer(server, started);
    if (state.kind === 'stopped') return { kind: 'failed', reason: 'the server has stopped' };
    if (state.kind === 'production') return { kind: 'failed', reason: 'the server is out of recovery' };
    const text = (await serverLogSince(deps, started, readLogBytes)) ?? '';
    const isHot = state.kind === 'recovering' && state.answers;
    const stream = await seeStream(following, host, text, isHot);
    if (stream !== undefined) return { kind: 'done', value: stream };
    const { progress } = state;
    const { refusals } = streamInLog(text);
    if (progress !== counted.progress) counted = { progress, refusals: refusals.length };
    const last = refusals.at(-1);
    if (last !== undefined && refusals.length - counted.refusals >= enoughRefusals)
      return { kind: 'failed', reason: last.trim() };
    return { kind: 'waiting', progress, isQuiet: isHot };
  });
}

const nudgeMs = 10_000;

/** A standby there ends no segment: the one that it replays is waited for. */
async function segmentToCome({ facts }: Following, host: Host): Promise<SegmentName> {
  if (!facts.inRecovery) return endSegmentThere(host);
  const { walSegmentSize: segmentSize } = facts.settings;
  const { walSegmentSkipsFF } = facts.capabilities;
  return segmentContaining(facts.timeline, facts.lsn, { segmentSize, walSegmentSkipsFF });
}

/** Ends segments there until one of them is in archivedir. */
async function awaitArrival(following: Following, host: Host): Promise<Look<SegmentName | Followed>> {
  const { server, facts } = following;
  const { deps } = server;
  const { archivedir, wal_timeout } = deps.settings;
  const segmentSize = facts.settings.walSegmentSize;
  const cluster = { systemIdentifier: facts.systemIdentifier, segmentSize };
  const ended = [await segmentToCome(following, host)];
  let nudgedMs = deps.monotonicMs();
  return waitUntil<SegmentName | Followed>(deps, wal_timeout, async () => {
    // It may have no archive that it feeds.
    const stream = facts.inRecovery ? await streamFrom(following) : undefined;
    if (stream !== undefined) return { kind: 'done', value: stream };
    for (const name of ended) {
      const arrival = await arrivalOf(archivedir, name, cluster);
      if (arrival.kind === 'wrong') return { kind: 'failed', reason: `${name.text}: ${arrival.reason}` };
      if (arrival.kind === 'whole') return { kind: 'done', value: name };
    }
    if (!facts.inRecovery && deps.monotonicMs() - nudgedMs > nudgeMs) {
      deps.log.notice(`waiting for ${ended[0]?.text ?? ''} in ${archivedir}`);
      ended.push(await endSegmentThere(host));
      nudgedMs = deps.monotonicMs();
    }
    return { kind: 'waiting', progress: '' };
  });
}

/** The segment that the startup process reads or waits for, according to its title. */
async function segmentInTitle(pgdata: string): Promise<SegmentName | undefined> {
  const name = parseWalName(/([0-9A-F]{24})$/.exec((await startupTitle(pgdata)).trim())?.[1] ?? '');
  return name.kind === 'segment' ? name : undefined;
}

/** Waits until a segment has been replayed. */
async function awaitReplay({ server, started, facts }: Following, segment: SegmentName): Promise<Seen> {
  const { deps, pgdata } = server;
  const end = firstLsnOf(segment, facts.settings.walSegmentSize) + BigInt(facts.settings.walSegmentSize);
  return waitUntil(deps, deps.settings.start_timeout, async () => {
    const state = await observeServer(server, started);
    if (state.kind === 'stopped') return { kind: 'failed', reason: 'the server has stopped' };
    if (state.kind === 'production') return { kind: 'failed', reason: 'the server is out of recovery' };
    const done = (lsn: bigint): Look<Followed> => ({
      kind: 'done',
      value: { by: 'archive', timeline: segment.timeline, lsn },
    });
    if (state.kind === 'recovering' && state.replayed !== undefined && state.replayed >= end)
      return done(state.replayed);
    const read = await segmentInTitle(pgdata);
    // It reads the next one, or waits for it.
    if (read !== undefined && read.timeline >= segment.timeline && read.text > segment.text) return done(end);
    return { kind: 'waiting', progress: state.progress };
  });
}

async function seeItInArchive(
  following: Following,
  host: Host,
  { isDelayed, restart }: Manner,
): Promise<Seen> {
  const arrived = await awaitArrival(following, host);
  if (arrived.kind === 'done') {
    if ('by' in arrived.value) return { kind: 'done', value: arrived.value };
    const { server } = following;
    const started = restart === undefined ? following.started : await restartServerProgram(server, restart);
    if (!isDelayed) return awaitReplay({ ...following, started }, arrived.value);
    const { timeline } = arrived.value;
    const segmentSize = following.facts.settings.walSegmentSize;
    const lsn = firstLsnOf(arrived.value, segmentSize) + BigInt(segmentSize);
    return { kind: 'done', value: { by: 'archive', timeline, lsn, isDelayed } };
  }
  const { archivedir } = following.server.deps.settings;
  const reason = arrived.kind === 'failed' ? arrived.reason : '';
  return { kind: 'failed', reason: `no WAL of it arrived in "${archivedir}": ${reason}` };
}

/** Waits until this standby is seen following the other server. Otherwise throws; the settings stay as they are. */
export async function mustFollow(following: Following, host: Host, manner: Manner): Promise<Followed> {
  const streams = manner.streams && !manner.isDelayed;
  const { server, started, address, facts } = following;
  const seen = await (streams ? seeItStream(following, host) : seeItInArchive(following, host, manner));
  if (seen.kind === 'done') return seen.value;
  const { deps } = server;
  const { repl_db_user: user = 'USER' } = deps.settings;
  const hints = streams
    ? `pg_hba.conf has a line "host replication ${user} ${deps.hostName}", max_wal_senders is high enough`
    : `its archive_command is cmd_archiver ("${facts.settings.archiveCommand}"), and slaves: in its cmd_archiver.ini names this host`;
  throw new PitrError(
    `this standby was set to follow ${address.host} (port ${address.port}), but is not seen following it`,
    {
      detail: `${seen.reason}; ${await serverLogTail(deps, started)}`,
      hint: `The settings stay: it asks again by itself. Check on ${address.host}: ${hints}. Then run --follow again; to go back: --follow with the former name.`,
    },
  );
}

export function describeFollowed({ by, timeline, lsn, isDelayed }: Followed, { host }: Address): string {
  const ofArchive = isDelayed
    ? 'has its WAL in the archive, to replay it later'
    : 'replays its WAL from the archive';
  const what = by === 'streaming' ? 'streams from it' : ofArchive;
  return `Follows ${host}: ${what}, timeline ${timeline}, up to LSN ${formatLsn(lsn)}`;
}
