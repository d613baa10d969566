import { open, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { PitrError } from '../../errors.ts';
import { capabilitiesOf } from '../../postgres/capabilities.ts';
import { ancestorsIn, parseHistory, type TimelineEntry } from '../../postgres/history.ts';
import { isPossibleSegment, segmentNumber, type WalLayout } from '../../postgres/lsn.ts';
import type { Histories } from '../../postgres/timelines.ts';
import { parseVersion } from '../../postgres/version.ts';
import { checkSegmentHeader, longHeaderBytes, parseWalHeader } from '../../postgres/wal-header.ts';
import { parseWalName, type SegmentName, type WalName, walNamesAmong } from '../../postgres/wal-name.ts';
import { readIfExists } from '../../system/durable.ts';
import type { Cluster } from './cluster.ts';
import { walDirectory } from './ready-files.ts';
import { statusOf } from './wal-file.ts';

/** The WAL of this server, as the files of its data directory show it. */
export interface OwnWal {
  /** pg_wal, or pg_xlog. */
  readonly directory: string;
  readonly layout: WalLayout;
  /** The timeline that the server writes. */
  readonly timeline: number;
  /** The history files of pg_wal that can be read. */
  readonly histories: Histories;
  /** The number of the segment that is being written, or will be next: PostgreSQL has archived none from it on. */
  readonly end: number;
  /** Changes with each start of the server: it may have run with archiving off, or in recovery. */
  readonly run: string;
}

export async function readHistoriesOf(directory: string, names: readonly WalName[]): Promise<Histories> {
  const histories = new Map<number, readonly TimelineEntry[]>();
  for (const name of names) {
    if (name.kind !== 'history') continue;
    const content = await readIfExists(join(directory, name.text));
    try {
      if (content !== undefined)
        histories.set(name.timeline, parseHistory(content.toString('utf8'), name.text));
    } catch (error) {
      if (!(error instanceof PitrError)) throw error;
    }
  }
  return histories;
}

interface Found {
  readonly name: SegmentName;
  readonly segmentSize: number;
}

/** A server writes this file when it starts, and never else. */
export async function readRun(pgdata: string): Promise<string> {
  const found = await stat(join(pgdata, 'postmaster.opts'), { bigint: true }).catch(() => undefined);
  return found === undefined ? '' : String(found.mtimeNs);
}

/** The newest segment of the timeline that the server has written to: the files behind it are only reserved. */
async function findNewest(
  directory: string,
  names: readonly WalName[],
  timeline: number,
  cluster: Cluster,
  histories: Histories,
): Promise<Found | undefined> {
  const segments = names.filter((name) => name.kind === 'segment' && name.timeline === timeline);
  const ancestors = ancestorsIn(histories.get(timeline) ?? []);
  for (const name of segments.reverse()) {
    if (name.kind !== 'segment') continue;
    const handle = await open(join(directory, name.text), 'r').catch(() => undefined);
    if (handle === undefined) continue;
    try {
      const bytes = new Uint8Array(longHeaderBytes);
      const { bytesRead } = await handle.read(bytes, 0, longHeaderBytes, 0);
      const header = parseWalHeader(bytes.subarray(0, bytesRead));
      if (header.kind === 'no-header') continue;
      const { segmentSize } = header;
      const { systemIdentifier } = cluster;
      const isAncestor = (older: number): boolean => ancestors.has(older);
      const expected = { name, systemIdentifier, fileSize: segmentSize, isAncestor };
      if (checkSegmentHeader(bytes, expected).kind === 'good') return { name, segmentSize };
    } finally {
      await handle.close();
    }
  }
  return undefined;
}

/**
 * The timelines that the server may be writing, newest first. After a promotion pg_control names the old one until the
 * next checkpoint; the new one's history file and its first segment are there before the server opens.
 */
function candidates(ofControl: number, histories: Histories): readonly number[] {
  const later = [...histories].filter(
    ([timeline, entries]) => timeline > ofControl && ancestorsIn(entries).has(ofControl),
  );
  return [...later.map(([timeline]) => timeline).sort((a, b) => b - a), ofControl];
}

/** The segments of the timeline that the server has finished: it notes each of them for archiving. */
async function listFinished(directory: string, timeline: number): Promise<readonly SegmentName[]> {
  const status = await readdir(statusOf(directory)).catch(() => []);
  return status
    .filter((entry) => /\.(?:ready|done)$/.test(entry))
    .map((entry) => parseWalName(entry.replace(/\.(?:ready|done)$/, '')))
    .filter((name) => name.kind === 'segment')
    .filter((name) => name.timeline === timeline);
}

/**
 * Reads pg_wal. Undefined if its files do not show which timeline the server writes, and where.
 *
 * A segment is complete once the next one has its first page, because PostgreSQL flushes a segment before it continues
 * with the next. That proves it without asking the server. After a switch the next one can stay unwritten for long: the
 * finished one, which may be archived already, is known by its file in archive_status, which stays until a checkpoint,
 * and that is written to the next one.
 */
export async function readOwnWal(pgdata: string, cluster: Cluster): Promise<OwnWal | undefined> {
  if (cluster.timeline === undefined) return undefined;
  // Read first: a server that is started meanwhile makes the proof void.
  const run = await readRun(pgdata);
  const directory = await walDirectory(pgdata);
  const version = parseVersion(await readFile(join(pgdata, 'PG_VERSION'), 'utf8'));
  const { walSegmentSkipsFF } = capabilitiesOf(version);
  const names = walNamesAmong((await readdir(directory)).sort());
  const histories = await readHistoriesOf(directory, names);
  for (const timeline of candidates(cluster.timeline, histories)) {
    const newest = await findNewest(directory, names, timeline, cluster, histories);
    if (newest === undefined) continue;
    const layout = { segmentSize: newest.segmentSize, walSegmentSkipsFF };
    if (!isPossibleSegment(newest.name, layout)) continue;
    const finished = (await listFinished(directory, timeline))
      .filter((name) => isPossibleSegment(name, layout))
      .map((name) => segmentNumber(name, layout) + 1);
    const end = finished.reduce((most, each) => Math.max(most, each), segmentNumber(newest.name, layout));
    return { directory, layout, timeline, histories, end, run };
  }
  return undefined;
}
