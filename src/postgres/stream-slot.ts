/**
 * The physical replication slots with which standbys stream: each on the server that it streams from, which keeps the
 * WAL that this standby has not received (manual, section "Replication Slots"). `pitrtools_keep` is another one: a
 * standby has it on itself, and nobody streams from it (kept-slot.ts).
 */
import type { SqlRow } from './backup-sql.ts';
import type { Capabilities } from './capabilities.ts';
import { sqlLiteral } from './quoting.ts';

const pattern = /^pitrtools_for_[a-z0-9_]{1,32}_[0-9a-f]{12}$/;
const longestWord = 32;

/** In a data directory; each slot has a directory of its name there. */
export const slotsDirectory = 'pg_replslot';

/**
 * A slot's name has only these characters, and 63 at most.
 *
 * @param digest 12 hexadecimal digits, which distinguish standbys whose names differ in other characters or not at all
 */
export function streamSlotName(host: string, digest: string): string {
  const words = host.toLowerCase().replaceAll(/[^a-z0-9]+/g, '_');
  return `pitrtools_for_${words.slice(0, longestWord) || '_'}_${digest}`;
}

/** Whether a slot is one that we made for a standby, by its name. */
export function isStreamSlot(name: string): boolean {
  return pattern.test(name);
}

/** A slot as its server shows it. */
export interface SlotThere {
  readonly name: string;
  readonly isPhysical: boolean;
  readonly isActive: boolean;
  /** The address and name of the standby that streams by it; empty if they are not known. */
  readonly client: string;
  /** From 13 on: `reserved`, `extended`, `unreserved` or `lost`. */
  readonly status: string | undefined;
  /** In bytes, from where the slot stands to the end of the WAL; undefined if it keeps none. */
  readonly heldBytes: number | undefined;
}

/** All slots of a server, and what decides whether it can have another one. */
export interface SlotsThere {
  readonly login: string;
  readonly mayMake: boolean;
  readonly most: number;
  readonly walLevel: string;
  /** `max_slot_wal_keep_size` in bytes; undefined if nothing limits what a slot keeps. */
  readonly limitBytes: number | undefined;
  /** Whether this release could limit it (13 and later). */
  readonly canLimit: boolean;
  /** Decimal; undefined if this release does not say (9.5 and earlier). */
  readonly systemIdentifier: string | undefined;
  readonly slots: readonly SlotThere[];
}

/** Whether it keeps no WAL any more. */
export function isLost({ status }: Pick<SlotThere, 'status'>): boolean {
  return status === 'lost';
}

/** Whether it can be made anew: on 16 and 17 a standby may be streaming by a slot that keeps nothing. */
export function mustRenew({ status, isActive }: Pick<SlotThere, 'status' | 'isActive'>): boolean {
  return isLost({ status }) && !isActive;
}

export function findSlot({ slots }: Pick<SlotsThere, 'slots'>, name: string): SlotThere | undefined {
  return slots.find((slot) => slot.name === name);
}

/** One row. */
export function slotSettingsSql({ controlRedoColumn, tellsSlotWalStatus }: Capabilities): string {
  const setting = (name: string) => `(SELECT setting FROM pg_settings WHERE name = '${name}')`;
  const identifier =
    controlRedoColumn === undefined ? "''" : '(SELECT system_identifier::text FROM pg_control_system())';
  return `SELECT rolname::text AS login, (rolsuper OR rolreplication)::text AS may_make,
  ${setting('max_replication_slots')} AS most, ${setting('wal_level')} AS level,
  ${tellsSlotWalStatus ? setting('max_slot_wal_keep_size') : "''"} AS megabytes, ${identifier} AS identifier
FROM pg_roles WHERE rolname = current_user`;
}

/**
 * On 16 and 17, a slot that was invalidated and is in use again counts as `unreserved`: it keeps nothing, and is lost when
 * that connection ends. One that is valid and `unreserved` has no WAL left to be written (seen on 16.14 and 17.10).
 */
const walStatus = `CASE WHEN active AND wal_status = 'unreserved' AND coalesce(safe_wal_size, 1) > 0 THEN 'lost' ELSE wal_status END`;

/** A row for each slot. From 9.4 on. */
export function slotsSql({
  tellsSlotWalStatus,
  tellsSlotProcess,
  currentLsnFunction,
  lastReplayLsnFunction,
}: Capabilities): string {
  const end = `CASE WHEN pg_is_in_recovery() THEN ${lastReplayLsnFunction ?? 'NULL'}() ELSE ${currentLsnFunction}() END`;
  const client = tellsSlotProcess
    ? "(SELECT concat_ws(' ', host(client_addr), application_name) FROM pg_stat_replication WHERE pid = active_pid)"
    : "''";
  return `SELECT slot_name::text AS slot, slot_type::text AS type, active::text AS active, ${client} AS client,
  ${tellsSlotWalStatus ? walStatus : "''"} AS status, trunc(${end} - restart_lsn)::text AS held
FROM pg_replication_slots ORDER BY slot_name`;
}

const mebibyte = 1024 * 1024;

/** @param rows the answers to `slotSettingsSql` and to `slotsSql` */
export function parseSlots(settings: readonly SqlRow[], slots: readonly SqlRow[]): SlotsThere {
  const [login = '', mayMake, most, level = '', megabytes, identifier] = settings[0] ?? [];
  const canLimit = (megabytes ?? '') !== '';
  const limit = canLimit ? Number(megabytes) : -1;
  return {
    login: login ?? '',
    mayMake: mayMake === 'true',
    most: Number(most ?? 0),
    walLevel: level ?? '',
    limitBytes: limit < 0 ? undefined : limit * mebibyte,
    canLimit,
    systemIdentifier: (identifier ?? '') === '' ? undefined : (identifier ?? undefined),
    slots: slots.map(([name, type, active, client, status, held]) => ({
      name: name ?? '',
      isPhysical: type === 'physical',
      isActive: active === 'true',
      client: client ?? '',
      status: (status ?? '') === '' ? undefined : (status ?? undefined),
      heldBytes: (held ?? '') === '' ? undefined : Math.max(0, Number(held)),
    })),
  };
}

/** Up to 9.5 the slot keeps WAL only once a standby has streamed by it. */
export function makeSlotSql({ slotReservesAtOnce }: Capabilities, name: string): string {
  return `SELECT pg_create_physical_replication_slot(${sqlLiteral(name)}${slotReservesAtOnce ? ', true' : ''})`;
}

/**
 * All is in parentheses: psql runs what it has when its input ends, and a statement that was cut off before its
 * condition would drop every slot.
 */
function dropWhere(condition: string): string {
  return `SELECT * FROM (SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE ${condition}) AS ours`;
}

function isIdle(name: string): string {
  return `slot_name = ${sqlLiteral(name)} AND NOT active`;
}

/** A slot that is gone already, or in use, stays as it is. */
export function dropSlotSql(name: string): string {
  return dropWhere(isIdle(name));
}

/** One row: from where the slot keeps WAL; empty if it keeps none. No row if there is no such slot. */
export function slotLsnSql(name: string): string {
  return `SELECT coalesce(restart_lsn::text, '') AS lsn FROM pg_replication_slots WHERE slot_name = ${sqlLiteral(name)}`;
}

/** @param lsn where it stood when it was made: a standby that streams moves it */
export function dropUntouchedSlotSql(name: string, lsn: string): string {
  return dropWhere(`${isIdle(name)} AND coalesce(restart_lsn::text, '') = ${sqlLiteral(lsn)}`);
}

/** To type. */
export function dropByHand(name: string): string {
  return `SELECT pg_drop_replication_slot('${name}')`;
}
