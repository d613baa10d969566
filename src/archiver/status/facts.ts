/** Everything that cmd_archiver --status looks at on this host, each fact by itself: one that fails hides no other. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { StandbyTarget } from '../../config/options-archiver.ts';
import { capabilitiesOf } from '../../postgres/capabilities.ts';
import { parseVersion } from '../../postgres/version.ts';
import { type DiskFacts, diskSamples, observeDisks, withForecast } from '../../status/disks.ts';
import {
  conclude,
  derive,
  type Fact,
  known,
  look,
  type LookDeps,
  NotKnown,
  valueOf,
} from '../../status/fact.ts';
import { noSamples, sample, type Samples } from '../../status/samples.ts';
import { trendOf } from '../../status/trend.ts';
import { systemErrorCode } from '../../system/durable.ts';
import { isLocked } from '../../system/lock.ts';
import { quoted } from '../../system/printable.ts';
import type { ClockOffset } from '../../system/remote-clock.ts';
import type { ArchiverDeps } from '../deps.ts';
import { isProofInForce } from '../lane/catch-up.ts';
import { type Lane, lanesOf } from '../lane/lane.ts';
import { type Gap, type LaneState, readLaneState } from '../lane/state.ts';
import { shipperPlaces } from '../markers/places.ts';
import { filesInQueue } from '../queue/queue.ts';
import { type Cluster, readPinnedIdentifier } from '../wal/cluster.ts';
import { listStatus, walDirectory } from '../wal/ready-files.ts';
import { readySuffix, statusOf } from '../wal/wal-file.ts';
import { observeCluster, type ShownCluster } from './cluster.ts';
import { askLive, type LiveFacts } from './live.ts';
import { observeServerSide, type Receiver, type ServerFacts } from './server.ts';

/** The outside world of one view, and the moment by which all its looks end. */
export type StatusDeps = ArchiverDeps & LookDeps;

/** WAL that waits: for PostgreSQL to archive it, or in a queue for its standby. */
export interface Backlog {
  readonly files: number;
  readonly bytes: number;
  /** Undefined if nothing waits. */
  readonly oldest: { readonly name: string; readonly ageS: number } | undefined;
}

/** The part of a lane's memory that is for others. */
export interface LaneCondition extends Pick<LaneState, 'health' | 'since' | 'reason' | 'abandoned'> {
  readonly gap: Pick<Gap, 'missing' | 'conflicts' | 'since'> | undefined;
  /** Whether it is proved that the standby was asked what it has, and has got all that it lacked and that exists here. */
  readonly isCaughtUp: boolean;
}

export interface StandbyFacts {
  readonly name: string;
  readonly state: Fact<LaneCondition>;
  readonly queue: Fact<Backlog>;
  /** As the server sees it; undefined if it does not stream. */
  readonly stream: Fact<Receiver | undefined>;
  /** By its own word; undefined if it was not asked. */
  readonly live: Fact<LiveFacts | undefined>;
  /** The clock of its host; undefined if it was not asked. */
  readonly clock: Fact<ClockOffset | undefined>;
}

export interface ArchiverFacts extends ServerFacts {
  readonly state: 'online' | 'offline';
  readonly cluster: Fact<ShownCluster>;
  readonly version: Fact<string>;
  /** Whether -I bound l_archivedir to this cluster. */
  readonly isInitialized: Fact<boolean>;
  readonly waiting: Fact<Backlog>;
  /** WAL that the server wrote, per second. */
  readonly made: Fact<number>;
  readonly isShipping: Fact<boolean>;
  readonly standbys: readonly StandbyFacts[];
  readonly disks: readonly DiskFacts[];
}

/** The time for the samples if the other looks have used up theirs. */
const sampleMs = 300;
const recentMs = 5 * 60_000;

/** Undefined for a file that was archived, sent or recycled meanwhile. */
async function statIfExists(path: string) {
  try {
    return await stat(path);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** A WAL file, and the file whose time says since when it waits. */
interface Waiting {
  readonly name: string;
  readonly path: string;
}

async function oldestOf(deps: ArchiverDeps, files: readonly Waiting[]) {
  let oldest: { name: string; ms: number } | undefined;
  for (const { name, path } of files) {
    const found = await statIfExists(path);
    if (found !== undefined && (oldest === undefined || found.mtimeMs < oldest.ms))
      oldest = { name, ms: found.mtimeMs };
  }
  return oldest && { name: oldest.name, ageS: Math.max(0, (deps.now() - oldest.ms) / 1000) };
}

async function bytesOf(paths: readonly string[]): Promise<number> {
  let bytes = 0;
  for (const path of paths) bytes += (await statIfExists(path))?.size ?? 0;
  return bytes;
}

/** The first names are the oldest, but a timeline's history sorts elsewhere: its first few decide. */
const looked = 20;

async function observeWaiting(deps: ArchiverDeps): Promise<Backlog> {
  const directory = await walDirectory(deps.settings.pgdata);
  const ready = [...(await listStatus(directory)).ready].sort();
  const status = statusOf(directory);
  const first = ready.slice(0, looked).map((name) => ({ name, path: join(status, `${name}${readySuffix}`) }));
  const bytes = await bytesOf(ready.map((name) => join(directory, name)));
  return { files: ready.length, bytes, oldest: await oldestOf(deps, first) };
}

async function observeQueue(deps: ArchiverDeps, { queue }: Lane): Promise<Backlog> {
  const files = await filesInQueue(queue);
  const first = files.slice(0, looked).map(({ name, path }) => ({ name: name.text, path }));
  const bytes = await bytesOf(files.map(({ path }) => path));
  const names = new Set(files.map(({ name }) => name.text));
  return { files: names.size, bytes, oldest: await oldestOf(deps, first) };
}

const wordsOf = ({ application, address, hostname }: Receiver): readonly string[] =>
  [application, address, hostname].filter((word) => word !== '');

/** A host's name may come with a domain, or with another one. */
function isAlike(name: string, word: string): boolean {
  const short = (each: string): string => (/^[\d.:]+$/.test(each) ? each : (each.split('.')[0] ?? each));
  return short(name) === short(word);
}

/** The name of a standby in `slaves`, and the host by which it is reached. */
type Named = Pick<StandbyTarget, 'name' | 'host'>;

/** Whether a receiver shows itself as that standby's: the surer sign first. */
const signs: readonly ((standby: Named, receiver: Receiver) => boolean)[] = [
  ({ name }, { application }) => application === name,
  ({ name, host }, receiver) => wordsOf(receiver).some((word) => word === name || word === host),
  ({ name, host }, receiver) => wordsOf(receiver).some((word) => isAlike(name, word) || isAlike(host, word)),
];

/** Two connections by one name: one of them was lost, and the server has not noticed that yet. */
function furthest(receivers: readonly Receiver[]): Receiver | undefined {
  return receivers.toSorted((a, b) => Number((b.replayed ?? -1n) - (a.replayed ?? -1n)))[0];
}

/** A standby may show itself by a name of its own, and by an address for which `slaves` has a name. */
function foreignOne(standbys: readonly Named[], streams: readonly Receiver[]): Receiver | undefined {
  const isKnown = (one: Receiver) => standbys.some((each) => signs.some((isSign) => isSign(each, one)));
  return streams.find((one) => one.replayed !== undefined && !isKnown(one));
}

/**
 * A receiver gives its host's name as its application_name, or its address is that of the standby. One that another
 * standby has a surer sign for is that one's: several may be on one host.
 */
export function receiverOf(
  standby: Named,
  standbys: readonly Named[],
  receivers: readonly Receiver[],
): Receiver | undefined {
  const streams = receivers.filter(({ state }) => state !== 'backup');
  const others = standbys.filter(({ name }) => name !== standby.name);
  for (const [level, isSign] of signs.entries()) {
    const surer = signs.slice(0, level);
    const isSurer = (each: Named, one: Receiver) => surer.some((isOne) => isOne(each, one));
    const found = streams.filter(
      (one) => isSign(standby, one) && !others.some((other) => isSurer(other, one)),
    );
    // Other programs that receive WAL, such as pg_receivewal on the host of a standby, replay none.
    const replaying = found.filter(({ replayed }) => replayed !== undefined);
    const own = furthest(replaying.length > 0 ? replaying : found);
    if (own === undefined) continue;
    const other = others.find((each) => isSign(each, own) && !streams.some((one) => isSurer(each, one)));
    if (other !== undefined)
      throw new NotKnown(`a receiver may be that of ${standby.name} or of ${other.name}, by its name`);
    if (level > 0 && replaying.length > 1)
      throw new NotKnown(`${replaying.length} receivers may be that of ${standby.name}, by their names`);
    return own;
  }
  const foreign = foreignOne(standbys, streams);
  if (foreign === undefined) return undefined;
  const words = quoted(wordsOf(foreign).join(' '), 200);
  throw new NotKnown(`the receiver "${words}" may be that of ${standby.name}: it has the name of no standby`);
}

export async function observeCondition({ settings }: ArchiverDeps, lane: Lane): Promise<LaneCondition> {
  const state = await readLaneState(lane);
  const { health, since, reason, abandoned, gap } = state;
  return {
    health,
    since,
    reason,
    abandoned,
    gap: gap && { missing: gap.missing, conflicts: gap.conflicts, since: gap.since },
    isCaughtUp: await isProofInForce(lane, state, settings.pgdata),
  };
}

type LaneFacts = Omit<StandbyFacts, 'stream'>;

function askIfKnown(deps: StatusDeps, lane: Lane, cluster: Fact<Cluster>): ReturnType<typeof askLive> {
  if (cluster.kind === 'seen') return askLive(deps, lane, cluster.value.systemIdentifier);
  const unknown = () => Promise.reject(new NotKnown(cluster.reason));
  return { live: unknown(), clock: unknown() };
}

async function observeLane(
  deps: StatusDeps,
  lane: Lane,
  asked: Fact<Cluster> | undefined,
): Promise<LaneFacts> {
  const answer = asked && askIfKnown(deps, lane, asked);
  const [state, queue, live, clock] = await Promise.all([
    look(deps, () => observeCondition(deps, lane)),
    look(deps, () => observeQueue(deps, lane)),
    look(deps, async () => answer?.live),
    look(deps, async () => answer?.clock),
  ]);
  return { name: lane.name, state, queue, live, clock };
}

function withStream(deps: StatusDeps, lane: LaneFacts, receivers: Fact<readonly Receiver[]>): StandbyFacts {
  const { standbys } = deps.settings;
  const own = standbys.find(({ name }) => name === lane.name) ?? { name: lane.name, host: lane.name };
  const stream = conclude(deps, () => receiverOf(own, standbys, known(receivers)));
  return { ...lane, stream };
}

function rateOf(written: Fact<bigint>, { pointsOf }: Samples, nowMs: number): Fact<number> {
  if (written.kind === 'unknown') return written;
  const trend = trendOf(pointsOf('written'), nowMs, recentMs);
  if (trend === undefined)
    return { kind: 'unknown', reason: 'it was looked at for too short a time', atMs: written.atMs };
  return { ...written, value: Math.max(0, trend.rate) };
}

async function diskPlaces({ settings: { pgdata }, layout }: StatusDeps) {
  return [
    { name: 'pg_wal', path: await walDirectory(pgdata).catch(() => pgdata) },
    { name: 'l_archivedir', path: layout.root },
  ];
}

/** @param isLive asks the standbys as well */
export async function observeArchiver(
  deps: StatusDeps,
  iniFile: string,
  isLive: boolean,
): Promise<ArchiverFacts> {
  const { settings, layout } = deps;
  const [cluster, version, isInitialized] = await Promise.all([
    look(deps, () => observeCluster(settings.pgdata)),
    look(deps, async () => (await readFile(join(settings.pgdata, 'PG_VERSION'), 'utf8')).trim()),
    look(deps, async () => (await readPinnedIdentifier(layout)) !== undefined),
  ]);
  const capabilities = await look(deps, () => {
    if (version.kind === 'unknown') throw new NotKnown(version.reason);
    return Promise.resolve(capabilitiesOf(parseVersion(version.value)));
  });
  const isInRecovery = derive(cluster, (seen) => seen.isInRecovery);
  // All at once: a server that does not answer must not use up the time for the files.
  const [server, waiting, isShipping, disks, lanes] = await Promise.all([
    observeServerSide(deps, capabilities, isInRecovery, iniFile),
    look(deps, () => observeWaiting(deps)),
    look(deps, () => isLocked(deps.run, shipperPlaces(layout).lock)),
    diskPlaces(deps).then((places) => observeDisks(deps, places)),
    Promise.all(lanesOf(deps).map((lane) => observeLane(deps, lane, isLive ? cluster : undefined))),
  ]);
  const written = valueOf(server.written);
  const values = {
    ...diskSamples(disks),
    ...(written === undefined ? {} : { written: Number(written) }),
  };
  // The last look has a moment of its own: without samples, no rate is known either.
  const last = { ...deps, endMs: Math.max(deps.endMs, deps.monotonicMs() + sampleMs) };
  const sampled = await look(last, () => sample(deps, join(layout.privateDirectory, 'samples.json'), values));
  const samples = valueOf(sampled) ?? noSamples;
  const nowMs = deps.monotonicMs();
  return {
    ...server,
    state: settings.state,
    cluster,
    version,
    isInitialized,
    waiting,
    made: rateOf(server.written, samples, nowMs),
    isShipping,
    standbys: lanes.map((lane) => withStream(deps, lane, server.receivers)),
    disks: withForecast(disks, samples, nowMs),
  };
}
