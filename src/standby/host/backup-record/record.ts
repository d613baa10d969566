import { join } from 'node:path';
import { messageOf, PitrError } from '../../../errors.ts';
import { exists, readIfExists } from '../../../system/durable.ts';
import { type Checked, checkFields, type Guarded, is, parseJson } from '../../../system/json.ts';
import { isStoppedFor, recordFileName } from '../../../system/stopped-for.ts';
import { verificationFields } from '../../page-check/findings.ts';
import { writeForServer } from '../../server/server-modes.ts';

/** The costs of copying a base backup's files. Sizes in bytes. */
const isCopy = is.object({
  files: is.number,
  bytes: is.number,
  /** Contents that came from the primary; the rest of `bytes` was here already. */
  movedBytes: is.number,
  reusedBytes: is.number,
  /** Bytes that the connections carried to this host, compressed. */
  receivedBytes: is.number,
  threads: is.number,
  /** If not set, rsync. */
  method: is.optional(is.oneOf('pg_basebackup')),
  /** Duration of the copy alone, from its first to its last file. */
  copySeconds: is.number,
  /** Duration of the whole base backup so far, when the record was written. */
  seconds: is.number,
});

export type CopyFacts = Guarded<typeof isCopy>;

const isVerified = is.object({
  time: is.text,
  ...verificationFields,
});

export type VerifiedFacts = Guarded<typeof isVerified>;

/** Facts about the base backup in pgdata. LSNs as PostgreSQL prints them, times in ISO 8601 with zone. */
const backupFields = {
  /** `copying` from before the first byte changes until the copy is known to be complete. */
  status: is.oneOf('copying', 'complete'),
  label: is.text,
  systemIdentifier: is.text,
  /** The primary's data directory: a living primary would have its postmaster.pid there. */
  primaryPgdata: is.text,
  /** While `copying`: directories of this host's tablespaces that the copy fills. Perhaps they are not linked yet. */
  tablespaces: is.optional(is.listOf(is.text)),
  timeline: is.number,
  segmentSize: is.number,
  startLsn: is.text,
  startSegment: is.text,
  startTime: is.text,
  stopLsn: is.optional(is.text),
  stopSegment: is.optional(is.text),
  stopTime: is.optional(is.text),
  /** The primary's TimeZone setting, in which a recovery target without a zone is read. */
  timeZone: is.text,
  /** The standby whose files were copied; if not set, the primary's files were copied. */
  source: is.optional(is.text),
  /** Only while copying: the entries of pgdata that are configuration of the standby. The copy does not touch them. */
  ownConfiguration: is.optional(is.listOf(is.text)),
  /** Set once all files are copied. Records of earlier releases have none. */
  copy: is.optional(isCopy),
  /** Set once --verify has checked every page. */
  verified: is.optional(isVerified),
  /** Version of the program that made it. */
  toolVersion: is.optional(is.text),
};

export type BackupRecord = Checked<typeof backupFields>;

/** The settings that we wrote for the server, so that the next run can remove exactly those. */
const isSettings = is.object({
  /** `held`: an interrupted recovery is on hold, and no server starts until -S or -F999 writes other settings. */
  mode: is.oneOf('standby', 'recovery', 'held'),
  /** The parameter names, in lower case, that we set in `file`. */
  names: is.listOf(is.text),
  file: is.text,
});

export type SettingsRecord = Guarded<typeof isSettings>;

/** A switchover that this host has begun. */
const isSwitchover = is.object({
  /** The host of the old primary. */
  primary: is.text,
  /** The timeline that is left. */
  timeline: is.number,
  /** The run that began it: with it the old primary can be had back. */
  token: is.optional(is.text),
  /** The end of the old primary's WAL, as PostgreSQL prints it; set from before the promotion on. */
  end: is.optional(is.text),
  /** The other standbys that were stopped when it began: they stay so. */
  stopped: is.optional(is.listOf(is.text)),
});

export type SwitchoverRecord = Guarded<typeof isSwitchover>;

/** A replication slot that was made for this standby on the server of that host. */
const isOwnSlot = is.object({
  name: is.text,
  host: is.text,
  port: is.number,
  /** Where psql finds that server when it runs on its host; an earlier release has not noted it. */
  localAddress: is.optional(is.text),
});

export type OwnSlot = Guarded<typeof isOwnSlot>;

/** A replication slot that was made on the server here for another standby. */
const isOthersSlot = is.object({
  name: is.text,
  /** From where it kept WAL when it was made; not set if the run was killed then. */
  lsn: is.optional(is.text),
});

export type OthersSlot = Guarded<typeof isOthersSlot>;

/** A run of -F999 or --switchover that is about to promote the server. */
const isPromotion = is.object({
  /** Random: no other run has it. */
  run: is.text,
  /** The run, and the server once it is asked to open: the promotion is under way while one of them exists. */
  processes: is.listOf(is.object({ pid: is.number, start: is.text })),
});

export type PromotionRecord = Guarded<typeof isPromotion>;

/** `pgdata/pitrtools.json`. Unknown fields are kept when it is rewritten. */
const recordFields = {
  backup: is.optional(is.anything),
  settings: is.optional(isSettings),
  /** Set once the server has taken its first write out of recovery. */
  promotedAtTimeline: is.optional(is.number),
  /** Set until the steps after that are completed. */
  isFailoverUnfinished: is.optional(is.boolean),
  /** Whether the failover takes the primary's role: decided before the server can open, and valid until it is finished. */
  takesRole: is.optional(is.boolean),
  /** Set from before action_fence begins until the failover is finished. */
  isFenceBegun: is.optional(is.boolean),
  /** Set from before the server can open until the failover is finished: other hosts see that it is under way. */
  promotion: is.optional(isPromotion),
  /** Set from before action_failover begins until it has succeeded: -F999 still has to run it. */
  isActionBegun: is.optional(is.boolean),
  /** Settings that the server was started with for its promotion, since pg_control demanded more than its files have. */
  raisedSettings: is.optional(is.mapOf(is.number)),
  /** Set from before the old primary is stopped until it is a standby and the others follow. */
  switchover: is.optional(isSwitchover),
  /** On the old primary: set from before it is stopped for that host, until it is in production again. */
  stoppedFor: is.optional(isStoppedFor),
  /** Set from before the first of them is made: they are dropped when this standby streams by them no more. */
  ownSlots: is.optional(is.listOf(isOwnSlot)),
  /** Set from before the first of them is made until the promotion for which they were made is finished. */
  slotsForOthers: is.optional(is.listOf(isOthersSlot)),
  /** Random; made by the first base backup in this data directory. The name of its slot depends on it. */
  slotIdentity: is.optional(is.text),
  /** The delay that ALTER SYSTEM had set, while a recovery to a target runs without it. */
  ownDelay: is.optional(is.text),
  /** The user's own delay, which a failover has set to 0 by ALTER SYSTEM: set from before that until the delay is back. */
  droppedDelay: is.optional(
    is.object({
      /** The value that ALTER SYSTEM had set; not set if the delay is in a configuration file. */
      own: is.optional(is.text),
    }),
  ),
  /** The server whose replay we pause: set from before that until the replay is resumed, or settings are written. */
  pausedServer: is.optional(is.object({ pid: is.number, start: is.text })),
  /** The recovery target at which a server paused or shut down; it has not been in standby mode since. */
  recoveredTo: is.optional(is.text),
};

export type StandbyRecord = Omit<Checked<typeof recordFields>, 'backup'> & {
  readonly backup?: BackupRecord | undefined;
};

/** Whether -B, -S or -F999 has left a record here, even one that can no longer be understood. */
export function hasRecord(pgdata: string): Promise<boolean> {
  return exists(join(pgdata, recordFileName));
}

/** Parses the record. A wrong field that only describes the base backup must not prevent a failover. */
function parseRecord(content: string): StandbyRecord {
  const { backup, ...record } = parseJson(content, recordFields, ['raisedSettings']);
  if (backup === undefined) return record;
  return { ...record, backup: backupIn(backup) };
}

function backupIn(value: unknown): BackupRecord {
  try {
    return checkFields(value, backupFields, ['copy', 'verified', 'toolVersion']);
  } catch (error) {
    throw new Error(`its "backup" is not what we write there: ${messageOf(error)}`, { cause: error });
  }
}

export async function readRecord(pgdata: string): Promise<StandbyRecord> {
  const path = join(pgdata, recordFileName);
  const content = await readIfExists(path);
  if (content === undefined) return {};
  try {
    return parseRecord(content.toString('utf8'));
  } catch (error) {
    throw new PitrError(`cannot understand "${path}"`, {
      detail: messageOf(error),
      hint: 'That file describes this data directory. Correct the problem in the detail. If the server here was never promoted, the file may be moved away instead; a new base backup writes another one.',
      cause: error,
    });
  }
}

export async function writeRecord(pgdata: string, record: RecordChange): Promise<void> {
  await writeForServer(pgdata, join(pgdata, recordFileName), `${JSON.stringify(record, null, 2)}\n`);
}

/** `undefined` removes a part from the record. */
export type RecordChange = { readonly [Part in keyof StandbyRecord]?: StandbyRecord[Part] | undefined };

export async function changeRecord(pgdata: string, change: RecordChange): Promise<void> {
  await writeRecord(pgdata, { ...(await readRecord(pgdata)), ...change });
}
