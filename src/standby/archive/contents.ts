import { access, constants, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../errors.ts';
import { parseHistory, type TimelineEntry } from '../../postgres/history.ts';
import { segmentContaining, type WalLayout } from '../../postgres/lsn.ts';
import type { Histories } from '../../postgres/timelines.ts';
import {
  type BackupName,
  historyName,
  type PartialName,
  type SegmentName,
  type WalName,
  walNamesAmong,
} from '../../postgres/wal-name.ts';
import { readIfExists } from '../../system/durable.ts';
import type { DataDirectory } from '../server/data-directory.ts';
import { readSegmentStart } from './arrival.ts';
import { faultOf, type FoundStart, segmentSizeOf } from './judge.ts';

export interface FoundSegment {
  readonly name: SegmentName;
  readonly bytes: number;
  /** The reason why it cannot be replayed; undefined for a good one. */
  readonly fault: string | undefined;
}

/** The WAL of a cluster that is available on this host. */
export interface ArchiveContents {
  readonly directory: string;
  readonly layout: WalLayout;
  /** In archivedir, by name. */
  readonly segments: readonly FoundSegment[];
  /** Good ones that are only in the data directory. */
  readonly inPgWal: readonly SegmentName[];
  readonly partials: readonly PartialName[];
  readonly backups: readonly BackupName[];
  readonly histories: Histories;
  /** History files that cannot be read, and why. */
  readonly badHistories: readonly string[];
}

type Place = Pick<DataDirectory, 'pgdata' | 'capabilities' | 'record' | 'control'>;

/** A disk that has to seek serves many readers faster than one. */
const readersAtOnce = 32;

interface ReadStarts {
  readonly starts: readonly FoundStart[];
  /** The first one that was not read; undefined if all were. */
  readonly unread: SegmentName | undefined;
}

async function readStart(directory: string, name: SegmentName): Promise<FoundStart | undefined> {
  const start = await readSegmentStart(join(directory, name.text)).catch((error: unknown) =>
    messageOf(error),
  );
  // It was removed between listing and reading, by --cleanup or the server's own cleanup.
  return start === undefined ? undefined : { name, start };
}

/** In the order of the names, as long as `mayRead` accepts the next one. */
export async function readStartsWhile(
  directory: string,
  names: readonly WalName[],
  mayRead: (next: SegmentName) => boolean,
): Promise<ReadStarts> {
  const segments = names.filter((name) => name.kind === 'segment');
  const starts: FoundStart[] = [];
  for (let at = 0; at < segments.length; at += readersAtOnce) {
    const [next, ...others] = segments.slice(at, at + readersAtOnce);
    if (next === undefined || !mayRead(next)) return { starts, unread: next };
    const found = await Promise.all([next, ...others].map((name) => readStart(directory, name)));
    starts.push(...found.filter((start) => start !== undefined));
  }
  return { starts, unread: undefined };
}

export async function readStarts(
  directory: string,
  names: readonly WalName[],
): Promise<readonly FoundStart[]> {
  return (await readStartsWhile(directory, names, () => true)).starts;
}

/** The ancestors of a timeline; undefined if its history file does not exist there. */
export async function readHistory(
  directory: string,
  timeline: number,
): Promise<readonly TimelineEntry[] | undefined> {
  const { text: name } = historyName(timeline);
  const content = await readIfExists(join(directory, name));
  return content === undefined ? undefined : parseHistory(content.toString('utf8'), name);
}

export async function readHistories(directory: string, names: readonly WalName[]) {
  const histories = new Map<number, readonly TimelineEntry[]>();
  const bad: string[] = [];
  for (const name of names) {
    if (name.kind !== 'history') continue;
    try {
      const entries = await readHistory(directory, name.timeline);
      if (entries !== undefined) histories.set(name.timeline, entries);
    } catch (error) {
      bad.push(`${name.text}: ${messageOf(error)}`);
    }
  }
  return { histories, bad };
}

/** The segment that a start of the server here would replay first. */
export function firstSegment(
  { backupLabel, control }: Pick<DataDirectory, 'backupLabel' | 'control'>,
  layout: WalLayout,
): SegmentName {
  if (backupLabel !== undefined) return backupLabel.startSegment;
  return segmentContaining(control?.timeline ?? 1, control?.redoLsn ?? 0n, layout);
}

export async function listWal(directory: string): Promise<readonly WalName[]> {
  const names = await readdir(directory).catch(() => []);
  return walNamesAmong(names.sort());
}

/** Examines every file of archivedir, and the additional WAL in the data directory. */
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
    segmentSize: segmentSizeOf(of.record.backup?.segmentSize, starts)?.size ?? 16 * 1024 * 1024,
    walSegmentSkipsFF: of.capabilities.walSegmentSkipsFF,
  };
  const cluster = { systemIdentifier, segmentSize: layout.segmentSize, histories };
  const fault = (start: FoundStart) => faultOf(start, cluster);
  const known = new Set(starts.map(({ name }) => name.text));
  const others = (await readStarts(walDirectory, inPgWal)).filter(({ name }) => !known.has(name.text));
  return {
    directory,
    layout,
    segments: starts.map((found) => ({
      name: found.name,
      bytes: typeof found.start === 'string' ? 0 : found.start.size,
      fault: fault(found),
    })),
    // A recycled segment still has its old address: it is no WAL of that name.
    inPgWal: others.filter((start) => fault(start) === undefined).map(({ name }) => name),
    partials: names.filter((name) => name.kind === 'partial'),
    backups: names.filter((name) => name.kind === 'backup'),
    histories,
    badHistories: archived.bad,
  };
}
