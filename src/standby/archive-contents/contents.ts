import { access, constants, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../errors.ts';
import { ancestorsIn, parseHistory, type TimelineEntry } from '../../postgres/history.ts';
import { isSegmentSize, type WalLayout } from '../../postgres/lsn.ts';
import { checkSegmentHeader } from '../../postgres/wal-header.ts';
import {
  parseWalName,
  type BackupName,
  type PartialName,
  type SegmentName,
  type WalName,
} from '../../postgres/wal-name.ts';
import { readIfExists } from '../../system/durable.ts';
import type { DataDirectory } from '../server/data-directory.ts';
import { readSegmentStart, type SegmentStart } from '../wal-arrival.ts';
import type { Histories } from './timelines.ts';

export interface FoundSegment {
  readonly name: SegmentName;
  readonly bytes: number;
  /** Why it cannot be replayed; undefined for a good one. */
  readonly fault: string | undefined;
}

/** The WAL of a cluster that can be had on this host. */
export interface ArchiveContents {
  readonly directory: string;
  readonly layout: WalLayout;
  /** In archivedir, by name. */
  readonly segments: readonly FoundSegment[];
  /** Good ones that lie in the data directory only. */
  readonly inPgWal: readonly SegmentName[];
  readonly partials: readonly PartialName[];
  readonly backups: readonly BackupName[];
  readonly histories: Histories;
  /** History files that cannot be read, and why. */
  readonly badHistories: readonly string[];
}

type Place = Pick<DataDirectory, 'pgdata' | 'capabilities' | 'record' | 'control'>;

interface Start {
  readonly name: SegmentName;
  /** Or why the file cannot be read. */
  readonly start: SegmentStart | string;
}

async function readStarts(directory: string, names: readonly WalName[]): Promise<readonly Start[]> {
  const found: Start[] = [];
  for (const name of names) {
    if (name.kind !== 'segment') continue;
    const start = await readSegmentStart(join(directory, name.name)).catch((error: unknown) =>
      messageOf(error),
    );
    // It went between the listing and the look: --cleanup, or the server's own.
    if (start !== undefined) found.push({ name, start });
  }
  return found;
}

/** As the base backup recorded it, or as most of the segments say themselves. */
function segmentSizeOf({ record }: Place, starts: readonly Start[]): number {
  const counts = new Map<number, number>();
  for (const { start } of starts)
    if (typeof start !== 'string' && start.header.kind === 'header')
      counts.set(start.header.segmentSize, (counts.get(start.header.segmentSize) ?? 0) + 1);
  const [most] = [...counts].sort(([, a], [, b]) => b - a);
  const size = record.backup?.segmentSize ?? most?.[0];
  return size !== undefined && isSegmentSize(size) ? size : 16 * 1024 * 1024;
}

/** A branch's first segment begins with the timeline before it; without a history file any earlier one is believed. */
function isAncestorOf(histories: Histories, timeline: number): (older: number) => boolean {
  const history = histories.get(timeline);
  if (history === undefined) return (older) => older < timeline;
  const ancestors = ancestorsIn(history);
  return (older) => ancestors.has(older);
}

function faultOf({ name, start }: Start, systemIdentifier: string, layout: WalLayout, histories: Histories) {
  if (typeof start === 'string') return start;
  if (start.size !== layout.segmentSize) return `it has ${start.size} bytes instead of ${layout.segmentSize}`;
  const isAncestor = isAncestorOf(histories, name.timeline);
  const expected = { name, systemIdentifier, fileSize: start.size, isAncestor };
  const check = checkSegmentHeader(start.bytes, expected);
  return check.kind === 'good' ? undefined : check.reason;
}

function segmentOf(start: Start, fault: string | undefined): FoundSegment {
  return { name: start.name, bytes: typeof start.start === 'string' ? 0 : start.start.size, fault };
}

export async function readHistories(directory: string, names: readonly WalName[]) {
  const histories = new Map<number, readonly TimelineEntry[]>();
  const bad: string[] = [];
  for (const name of names) {
    if (name.kind !== 'history') continue;
    try {
      const text = await readIfExists(join(directory, name.name));
      if (text !== undefined) histories.set(name.timeline, parseHistory(text.toString('utf8'), name.name));
    } catch (error) {
      bad.push(`${name.name}: ${messageOf(error)}`);
    }
  }
  return { histories, bad };
}

export async function listWal(directory: string): Promise<readonly WalName[]> {
  const names = await readdir(directory).catch(() => []);
  return names
    .sort()
    .map(parseWalName)
    .filter((name): name is WalName => name.kind !== 'not-wal');
}

/** Looks at every file of archivedir, and at what the data directory holds beside it. */
export async function readContents(
  directory: string,
  of: Place,
  systemIdentifier: string,
): Promise<ArchiveContents> {
  await access(directory, constants.R_OK);
  const names = await listWal(directory);
  const walDirectory = join(of.pgdata, of.capabilities.walDirName);
  const inPgWal = await listWal(walDirectory);
  const archived = await readHistories(directory, names);
  const local = await readHistories(walDirectory, inPgWal);
  const histories = new Map([...local.histories, ...archived.histories]);
  const starts = await readStarts(directory, names);
  const layout = {
    segmentSize: segmentSizeOf(of, starts),
    walSegmentSkipsFF: of.capabilities.walSegmentSkipsFF,
  };
  const fault = (start: Start) => faultOf(start, systemIdentifier, layout, histories);
  const known = new Set(starts.map(({ name }) => name.name));
  const others = (await readStarts(walDirectory, inPgWal)).filter(({ name }) => !known.has(name.name));
  return {
    directory,
    layout,
    segments: starts.map((start) => segmentOf(start, fault(start))),
    // A segment that waits for its reuse still has the address that it had: it is no WAL of that name.
    inPgWal: others.filter((start) => fault(start) === undefined).map(({ name }) => name),
    partials: names.filter((name) => name.kind === 'partial'),
    backups: names.filter((name) => name.kind === 'backup'),
    histories,
    badHistories: archived.bad,
  };
}
