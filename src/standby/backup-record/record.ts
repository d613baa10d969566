import { join } from 'node:path';
import { PitrError } from '../../errors.ts';
import { exists, readIfExists } from '../../system/durable.ts';
import { writeForServer } from '../server/server-modes.ts';
import type { Verification } from '../page-check/findings.ts';

/** Facts about the base backup in pgdata. LSNs as PostgreSQL prints them, times in ISO 8601 with zone. */
export interface BackupRecord {
  /** `copying` from before the first byte changes until the copy is known to be complete. */
  readonly status: 'copying' | 'complete';
  readonly label: string;
  readonly systemIdentifier: string;
  /** The primary's data directory: a living primary would have its postmaster.pid there. */
  readonly primaryPgdata: string;
  /** While `copying`: directories of this host's tablespaces that the copy fills. Perhaps they are not linked yet. */
  readonly tablespaces?: readonly string[];
  readonly timeline: number;
  readonly segmentSize: number;
  readonly startLsn: string;
  readonly startSegment: string;
  readonly startTime: string;
  readonly stopLsn?: string;
  readonly stopSegment?: string;
  readonly stopTime?: string;
  /** The primary's TimeZone setting, in which a recovery target without a zone is read. */
  readonly timeZone: string;
  /** The standby whose files were copied; if not set, the primary's files were copied. */
  readonly source?: string;
  /** Only while copying: the entries of pgdata that are configuration of the standby. The copy does not touch them. */
  readonly ownConfiguration?: readonly string[];
  /** Set once all files are copied. Records of earlier releases have none. */
  readonly copy?: CopyFacts;
  /** Set once --verify has checked every page. */
  readonly verified?: VerifiedFacts;
  /** Version of the program that made it. */
  readonly toolVersion?: string;
}

export interface VerifiedFacts extends Verification {
  readonly time: string;
}

/** The costs of copying a base backup's files. Sizes in bytes. */
export interface CopyFacts {
  readonly files: number;
  readonly bytes: number;
  /** Contents that came from the primary; the rest of `bytes` was here already. */
  readonly movedBytes: number;
  readonly reusedBytes: number;
  /** Bytes that the connections carried to this host, compressed. */
  readonly receivedBytes: number;
  readonly threads: number;
  /** If not set, rsync. */
  readonly method?: 'pg_basebackup';
  /** Duration of the copy alone, from its first to its last file. */
  readonly copySeconds: number;
  /** Duration of the whole base backup so far, when the record was written. */
  readonly seconds: number;
}

/** The settings that we wrote for the server, so that the next run can remove exactly those. */
export interface SettingsRecord {
  /** `held`: an interrupted recovery is on hold, and no server starts until -S or -F999 writes other settings. */
  readonly mode: 'standby' | 'recovery' | 'held';
  /** The parameter names, in lower case, that we set in `file`. */
  readonly names: readonly string[];
  readonly file: string;
}

/** `pgdata/pitrtools.json`. Unknown fields are kept when it is rewritten. */
export interface StandbyRecord {
  readonly backup?: BackupRecord;
  readonly settings?: SettingsRecord;
  /** Set once the server has taken its first write out of recovery. */
  readonly promotedAtTimeline?: number;
  /** Set until the steps after that are completed. */
  readonly isFailoverUnfinished?: true;
  /** Set from before action_failover begins until it has succeeded: -F999 still has to run it. */
  readonly isActionBegun?: true;
  /** Settings that the server was started with for its promotion, since pg_control demanded more than its files have. */
  readonly raisedSettings?: Readonly<Record<string, number>>;
  /** The recovery target at which a server paused or shut down; it has not been in standby mode since. */
  readonly recoveredTo?: string;
}

export const recordFileName = 'pitrtools.json';

/** Whether -B, -S or -F999 has left a record here, even one that can no longer be understood. */
export function hasRecord(pgdata: string): Promise<boolean> {
  return exists(join(pgdata, recordFileName));
}

export async function readRecord(pgdata: string): Promise<StandbyRecord> {
  const path = join(pgdata, recordFileName);
  const content = await readIfExists(path);
  if (content === undefined) return {};
  try {
    return JSON.parse(content.toString('utf8')) as StandbyRecord;
  } catch (error) {
    throw new PitrError(`cannot understand "${path}"`, {
      hint: 'It is the record of the base backup; make a new one with -B.',
      cause: error,
    });
  }
}

/** `undefined` removes a part from the record. */
export type RecordChange = { readonly [Part in keyof StandbyRecord]?: StandbyRecord[Part] | undefined };

export async function changeRecord(pgdata: string, change: RecordChange): Promise<void> {
  const record = { ...(await readRecord(pgdata)), ...change };
  await writeForServer(pgdata, join(pgdata, recordFileName), `${JSON.stringify(record, null, 2)}\n`);
}
