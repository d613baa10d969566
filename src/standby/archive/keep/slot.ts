import { join } from 'node:path';
import { type Capabilities, releasesByAdvance } from '../../../postgres/capabilities.ts';
import { heldBytesSql, keptSlot, keptSlotDirectory } from '../../../postgres/kept-slot.ts';
import { formatLsn, parseLsn } from '../../../postgres/lsn.ts';
import { exists } from '../../../system/durable.ts';
import type { LocalSql } from '../../../system/local-sql.ts';

/** Our slot as the server shows it. */
interface Slot {
  /** WAL from here on stays in pg_wal; undefined if the server dropped what the slot held. */
  readonly restartLsn: bigint | undefined;
  /** In bytes: WAL that only the slot keeps. */
  readonly heldBytes: number;
}

/** The server's answers that everything about the slot is decided by. */
export interface SlotFacts {
  readonly isRecovering: boolean;
  readonly slot: Slot | undefined;
  /** Without a slot, WAL before this location may be removed. */
  readonly redoLsn: bigint;
  /** In bytes. */
  readonly segmentSize: number;
  /** In bytes: about as much WAL may come between two restartpoints. */
  readonly maxWalSize: number;
  /** Why no slot can be made; undefined if one can. */
  readonly obstacle: string | undefined;
  /** Whether another slot can be made beside those that exist. */
  readonly hasSpareSlot: boolean;
  /** Whether the WAL that the slot is moved over may be removed, without anything else. */
  readonly releasesByAdvance: boolean;
  /** The `archive_cleanup_command` in force, from 12 on. */
  readonly cleanupCommand: string | undefined;
}

/** Whether the slot exists, by the files of a server that may be stopped. */
export function hasKeptSlot(pgdata: string): Promise<boolean> {
  return exists(join(pgdata, keptSlotDirectory));
}

const mebibyte = 1024 * 1024;

function factsSql({ tellsSlotWalStatus }: Pick<Capabilities, 'tellsSlotWalStatus'>): string {
  const lost = tellsSlotWalStatus ? "restart_lsn IS NULL OR wal_status = 'lost'" : 'restart_lsn IS NULL';
  return `SELECT pg_is_in_recovery() AS recovering,
  current_setting('max_replication_slots') AS most_slots,
  (SELECT count(*) FROM pg_replication_slots)::text AS slots,
  current_setting('wal_level') AS wal_level,
  current_setting('server_version_num') AS version_num,
  (SELECT setting FROM pg_settings WHERE name = 'archive_cleanup_command') AS cleanup,
  current_user::text AS login,
  (SELECT rolsuper OR rolreplication FROM pg_roles WHERE rolname = current_user) AS may_make,
  (SELECT setting FROM pg_settings WHERE name = 'wal_segment_size') AS segment_size,
  (SELECT setting FROM pg_settings WHERE name = 'max_wal_size') AS max_wal_megabytes,
  (SELECT redo_lsn FROM pg_control_checkpoint())::text AS redo,
  slot_name IS NOT NULL AS has_slot,
  CASE WHEN ${lost} THEN NULL ELSE restart_lsn END::text AS restart,
  (${heldBytesSql})::text AS held
FROM (SELECT 1) AS one LEFT JOIN pg_replication_slots ON slot_name = '${keptSlot}'`;
}

type Row = Readonly<Record<string, unknown>>;

function obstacleIn(row: Row): string | undefined {
  const most = Number(row['most_slots']);
  const level = String(row['wal_level']);
  if (most === 0) return 'max_replication_slots is 0, and the slot needs at least 1';
  if (level === 'minimal' || level === 'archive') return `wal_level is ${level}, and the slot needs replica`;
  if (row['may_make'] !== true)
    return `the user "${String(row['login'])}" cannot make a replication slot: it needs the attribute SUPERUSER or REPLICATION`;
  const needed = releasesByAdvance(Number(row['version_num'])) ? 1 : 2;
  if (Number(row['slots']) + needed > most)
    return `max_replication_slots is ${most}, and ${String(row['slots'])} slots are in use: ${needed === 1 ? 'one more is' : 'two more are'} needed`;
  return undefined;
}

function slotIn(row: Row): Slot | undefined {
  if (row['has_slot'] !== true) return undefined;
  const restart = row['restart'];
  return {
    restartLsn: typeof restart === 'string' ? parseLsn(restart) : undefined,
    heldBytes: Math.max(0, Number(row['held'] ?? 0)),
  };
}

/** From 11 on. */
export async function askSlot(sql: LocalSql, capabilities: Capabilities): Promise<SlotFacts> {
  const [row = {}] = await sql(factsSql(capabilities));
  const cleanup = row['cleanup'];
  return {
    isRecovering: row['recovering'] === true,
    slot: slotIn(row),
    redoLsn: parseLsn(String(row['redo'])),
    segmentSize: Number(row['segment_size']),
    maxWalSize: Number(row['max_wal_megabytes']) * mebibyte,
    obstacle: obstacleIn(row),
    hasSpareSlot: Number(row['slots']) < Number(row['most_slots']),
    releasesByAdvance: releasesByAdvance(Number(row['version_num'])),
    cleanupCommand: typeof cleanup === 'string' ? cleanup : undefined,
  };
}

/** On a standby it begins with the last restartpoint. */
export async function makeSlot(sql: LocalSql): Promise<void> {
  await sql('SELECT pg_create_physical_replication_slot($1, true)', [keptSlot]);
}

/**
 * Has an early minor release compute anew which WAL the slots need, as it does whenever one is dropped. Our own slot is
 * there all the time: dropped and made anew, it would begin at the last restartpoint, and one that comes in between would
 * remove what it kept. The server drops a temporary slot also when our session ends before we do.
 */
export async function recomputeRequired(sql: LocalSql): Promise<void> {
  await sql(`SELECT pg_create_physical_replication_slot('pitrtools_' || pg_backend_pid(), false, true)`);
  await sql(`SELECT pg_drop_replication_slot('pitrtools_' || pg_backend_pid())`);
}

/** The server takes its own last location if `lsn` lies beyond that. */
export async function advanceSlot(
  sql: LocalSql,
  lsn: bigint,
  facts: Pick<SlotFacts, 'releasesByAdvance'>,
): Promise<void> {
  await sql('SELECT pg_replication_slot_advance($1, $2)', [keptSlot, formatLsn(lsn)]);
  if (!facts.releasesByAdvance) await recomputeRequired(sql);
}

/** A slot that is gone already is no error. */
export async function dropSlot(sql: LocalSql): Promise<void> {
  await sql(
    'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name::text = $1',
    [keptSlot],
  );
}
