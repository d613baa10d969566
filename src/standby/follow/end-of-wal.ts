import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { segmentContaining, type WalLayout } from '../../postgres/lsn.ts';
import { parseWalName, type SegmentName, timelineOf, walNamesAmong } from '../../postgres/wal-name.ts';
import { checkRecords } from '../archive/read-records.ts';
import type { DataDirectory } from '../server/data-directory.ts';

/** The end of the WAL of a primary that does not run any more. */
export type EndOfWal =
  /** It was shut down: its last record is the checkpoint that begins there. */
  | { readonly kind: 'clean'; readonly timeline: number; readonly checkpoint: bigint }
  /** It crashed, or its host did: the first byte after its last complete record. */
  | { readonly kind: 'crashed'; readonly timeline: number; readonly end: bigint }
  | { readonly kind: 'unknown'; readonly timeline: number; readonly reason: string };

export function layoutOf({ control, capabilities }: DataDirectory): WalLayout {
  return {
    segmentSize: control?.walSegmentSize ?? 16 * 1024 * 1024,
    walSegmentSkipsFF: capabilities.walSegmentSkipsFF,
  };
}

/** The segments of its timeline from this one on. */
async function segmentsFrom(directory: string, first: SegmentName): Promise<readonly SegmentName[]> {
  return (await readdir(directory))
    .map(parseWalName)
    .filter((name): name is SegmentName => name.kind === 'segment')
    .filter((name) => name.timeline === first.timeline && name.text >= first.text)
    .sort((a, b) => (a.text < b.text ? -1 : 1));
}

export async function observeEnd(directory: DataDirectory, signal: AbortSignal): Promise<EndOfWal> {
  const { control, pgdata, capabilities, controlProblem = '' } = directory;
  if (control === undefined) return { kind: 'unknown', timeline: 0, reason: controlProblem };
  const { timeline, state, checkpointLsn, redoLsn } = control;
  if (state === 'shut-down') return { kind: 'clean', timeline, checkpoint: checkpointLsn };
  const walDirectory = join(pgdata, capabilities.walDirName);
  const later = walNamesAmong(await readdir(walDirectory)).find((name) => timelineOf(name) > timeline);
  // After a promotion pg_control names the old timeline until the first checkpoint.
  if (later !== undefined)
    return {
      kind: 'unknown',
      timeline,
      reason: `pg_control is from before ${later.text}, which is in pg_wal`,
    };
  const first = segmentContaining(timeline, redoLsn, layoutOf(directory));
  const names = await segmentsFrom(walDirectory, first);
  if (names[0]?.text !== first.text)
    return { kind: 'unknown', timeline, reason: `there is no ${first.text} in "${walDirectory}"` };
  const segments = names.map((name) => ({ name, path: join(walDirectory, name.text) }));
  const read = await checkRecords(segments, redoLsn, signal);
  if (read.kind === 'unknown') return { kind: 'unknown', timeline, reason: read.reason };
  if (read.damage !== undefined) return { kind: 'unknown', timeline, reason: read.damage.reason };
  return { kind: 'crashed', timeline, end: read.end };
}
