/** The facts about the cluster in pgdata, whose server does not run, that determine whether it may start. */
import { join } from 'node:path';
import { PitrError } from '../../../errors.ts';
import { checkControlFile } from '../../../postgres/control-file.ts';
import { parseHistory } from '../../../postgres/history.ts';
import { firstLsnOf } from '../../../postgres/lsn.ts';
import { historyName } from '../../../postgres/wal-name.ts';
import { readIfExists } from '../../../system/durable.ts';
import { readOwnWal } from '../../wal/own-wal.ts';
import { walDirectory } from '../../wal/ready-files.ts';
import { isUnstartedCopy, recoveryFileOf } from '../../wal/recovery-signs.ts';

/** A cluster that would open as a primary. */
export interface OwnCluster {
  readonly systemIdentifier: string;
  /** The timeline on which the server continues. */
  readonly timeline: number;
  /** Where this timeline begins, if its history file is there: a mark from before is about another timeline of that number. */
  readonly begin: bigint | undefined;
  /** The last checkpoint: the server has written WAL up to there at least. */
  readonly checkpointLsn: bigint;
}

export type OwnCondition =
  /** PostgreSQL can do no harm, or not start at all. */
  | { readonly kind: 'harmless'; readonly reason: string }
  /** A base backup of ours that would open as a second primary of the same timeline. */
  | { readonly kind: 'unstarted-copy' }
  | { readonly kind: 'primary'; readonly cluster: OwnCluster };

async function beginOf(pgdata: string, timeline: number, segmentSize: number): Promise<bigint | undefined> {
  const { text: name } = historyName(timeline);
  const content = await readIfExists(join(await walDirectory(pgdata), name));
  const last = content === undefined ? undefined : parseHistory(content.toString('utf8'), name).at(-1);
  if (last === undefined) return undefined;
  return last.end.kind === 'lsn' ? last.end.lsn : firstLsnOf(last.end.segment, segmentSize);
}

async function readCluster(pgdata: string, bytes: Buffer): Promise<OwnCondition> {
  const check = checkControlFile(bytes);
  if (check.kind === 'bad') throw new PitrError(check.reason);
  const { systemIdentifier, timeline: ofCheckpoint, checkpointLsn, progress, walSegmentSize } = check.control;
  // A promoted server that ends before its first checkpoint continues on the timeline of this location.
  const timeline =
    progress === undefined
      ? (await readOwnWal(pgdata, { systemIdentifier, timeline: ofCheckpoint, isInRecovery: false }))
          ?.timeline
      : Math.max(ofCheckpoint, progress.minRecoveryTimeline);
  const known = timeline ?? ofCheckpoint;
  const begin = await beginOf(pgdata, known, walSegmentSize ?? 16 * 1024 * 1024);
  return { kind: 'primary', cluster: { systemIdentifier, timeline: known, begin, checkpointLsn } };
}

/** Throws if it cannot be determined. */
export async function observeCondition(pgdata: string): Promise<OwnCondition> {
  const control = await readIfExists(join(pgdata, 'global', 'pg_control'));
  if (control === undefined) return { kind: 'harmless', reason: `"${pgdata}" holds no cluster` };
  const name = await recoveryFileOf(pgdata);
  if (name !== undefined) return { kind: 'harmless', reason: `it recovers (${name})` };
  if (await isUnstartedCopy(pgdata)) return { kind: 'unstarted-copy' };
  return readCluster(pgdata, control);
}
