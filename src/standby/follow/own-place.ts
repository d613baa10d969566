import { join } from 'node:path';
import type { BackupLabel } from '../../postgres/backup-label.ts';
import { parseLsn } from '../../postgres/lsn.ts';
import { parseWalName } from '../../postgres/wal-name.ts';
import { readHistory } from '../archive/contents.ts';
import { type DataDirectory, wasInRecovery } from '../server/data-directory.ts';
import { provedPlace } from '../server/progress.ts';
import type { Server } from '../server/server.ts';
import { rowsOf, type ServerState, startupTitle } from '../server/server-state.ts';
import { observeEnd } from './end-of-wal.ts';
import type { OwnPlace } from './lineage.ts';

interface Place {
  readonly timeline: number;
  readonly lsn: bigint;
}

/** The later of both: a server's timelines only ever grow. */
function later(one: Place, other: Place): Place {
  return {
    timeline: Math.max(one.timeline, other.timeline),
    lsn: one.lsn > other.lsn ? one.lsn : other.lsn,
  };
}

/** The timeline of the segment that the startup process reads: "startup recovering 000000010000000000000003". */
async function replayedTimeline(pgdata: string): Promise<number> {
  const word = /([0-9A-F]{24})$/.exec((await startupTitle(pgdata)).trim())?.[1] ?? '';
  const name = parseWalName(word);
  return name.kind === 'segment' ? name.timeline : 0;
}

/** WAL that was received will be replayed: it counts as well. */
async function runningPlace(server: Server, proved: Place): Promise<Place> {
  const { lastReplayLsnFunction: replay, lastReceiveLsnFunction: receive } = server.capabilities;
  const [row] =
    replay === undefined || receive === undefined
      ? []
      : ((await rowsOf(server, `SELECT ${replay}()::text AS replayed, ${receive}()::text AS received`)) ??
        []);
  // After the locations: a server that moves to the next timeline meanwhile would seem to have passed the fork on the former one.
  let place = later(proved, { timeline: await replayedTimeline(server.pgdata), lsn: 0n });
  for (const text of [row?.['replayed'], row?.['received']])
    if (typeof text === 'string') place = later(place, { timeline: 0, lsn: parseLsn(text) });
  return place;
}

type FoundPlace = Omit<OwnPlace, 'history'>;

/** The place of a former primary. */
async function placeOfEnd({ deps }: Server, directory: DataDirectory): Promise<FoundPlace> {
  const end = await observeEnd(directory, deps.signal);
  const { timeline } = end;
  switch (end.kind) {
    case 'clean':
      return { timeline, lsn: end.checkpoint, isRecordStart: true, end };
    case 'crashed':
      return { timeline, lsn: end.end, isRecordStart: false, end };
    case 'unknown':
      return { timeline, lsn: 0n, isRecordStart: false, unknown: end.reason, end };
  }
}

/**
 * Recovery must reach the end of the base backup. pg_rewind leaves a label as well, and the record of an earlier base backup
 * remains: then pg_control says how far recovery must come, as it does for a backup of a standby.
 */
export function placeOfCopy(
  { startSegment, startLsn }: BackupLabel,
  { control, record }: Pick<DataDirectory, 'control' | 'record'>,
): Place {
  const { backup } = record;
  const { timeline } = startSegment;
  if (backup?.stopLsn !== undefined && parseLsn(backup.startLsn) === startLsn)
    return { timeline, lsn: parseLsn(backup.stopLsn) };
  if (control === undefined || !wasInRecovery(control)) return { timeline, lsn: startLsn };
  const proved = provedPlace(control);
  return { timeline: proved.timeline, lsn: parseLsn(proved.lsn) };
}

async function placeOf(server: Server, directory: DataDirectory, state: ServerState): Promise<FoundPlace> {
  const { control, backupLabel } = directory;
  if (backupLabel !== undefined && state.kind === 'stopped')
    return { ...placeOfCopy(backupLabel, directory), isRecordStart: false };
  if (control === undefined) return { timeline: 1, lsn: 0n, isRecordStart: false };
  if (state.kind === 'stopped' && !wasInRecovery(control)) return placeOfEnd(server, directory);
  const { timeline, lsn } = provedPlace(control);
  const proved = { timeline, lsn: parseLsn(lsn) };
  const place = state.kind === 'stopped' ? proved : await runningPlace(server, proved);
  return { ...place, isRecordStart: false };
}

/** The end of the WAL that the data here contains, or is certain to contain once its server runs. */
export async function observeOwnPlace(
  server: Server,
  directory: DataDirectory,
  state: ServerState,
): Promise<OwnPlace> {
  const { deps, pgdata, capabilities } = server;
  const place = await placeOf(server, directory, state);
  const folders = [join(pgdata, capabilities.walDirName), deps.settings.archivedir];
  for (const folder of folders) {
    const history = await readHistory(folder, place.timeline);
    if (history !== undefined) return { ...place, history };
  }
  return { ...place, history: undefined };
}
