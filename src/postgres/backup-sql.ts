/**
 * The SQL of a base backup, for every release. All of it runs in one session that stays open, because the backup of
 * 9.6 and later ends with its session.
 *
 * The helper functions (`scripts/cmd_standby*.sql`) start and end the backup. They are called in the same way
 * everywhere; what they return shows which kind of backup it was.
 */
import { PitrError, refusal } from '../errors.ts';
import type { Capabilities } from './capabilities.ts';
import { parseLsn } from './lsn.ts';
import { sqlIdentifier, sqlLiteral } from './quoting.ts';
import { parseWalName } from './wal-name.ts';

/** A row as psql or pg gives it: columns in order, NULL as null or as an empty text. */
export type SqlRow = readonly (string | null)[];

/** Facts about the server that every version needs before the capabilities are known. */
export const serverVersionSql = "SELECT current_setting('server_version_num')";

// -- helper functions --

/**
 * One row for each function of these names, in any schema: the schema, `cmd_pg_start_backup(text, boolean)`, the
 * owner, and whether we may call it. A superuser that calls a function of an ordinary role lends that role all its
 * rights.
 */
export const installedHelpersSql =
  "SELECT n.nspname, p.proname || '(' || pg_catalog.oidvectortypes(p.proargtypes) || ')', o.rolname, " +
  "CASE WHEN o.rolsuper OR o.oid = me.oid OR o.oid = d.datdba OR NOT me.rolsuper THEN 't' ELSE 'f' END " +
  'FROM pg_catalog.pg_proc AS p ' +
  'JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace JOIN pg_catalog.pg_roles AS o ON o.oid = p.proowner ' +
  'JOIN pg_catalog.pg_roles AS me ON me.rolname = current_user JOIN pg_catalog.pg_database AS d ON d.datname = current_database() ' +
  "WHERE p.proname IN ('cmd_get_data_dirs', 'cmd_get_pgdata', 'cmd_get_tablespaces', 'cmd_pg_start_backup', " +
  "'cmd_pg_stop_backup') ORDER BY n.nspname <> 'public', n.nspname, 2";

const helpers = [
  'cmd_get_data_dirs()',
  'cmd_get_pgdata()',
  'cmd_get_tablespaces()',
  'cmd_pg_start_backup()',
  'cmd_pg_start_backup(text, boolean)',
  'cmd_pg_stop_backup()',
  'cmd_pg_stop_backup(text)',
] as const;

export type Helpers =
  | { readonly kind: 'found'; readonly schema: string }
  /** `foreign`: owners of functions of these names that a superuser must not call. */
  | { readonly kind: 'missing'; readonly missing: readonly string[]; readonly foreign: readonly string[] };

/** A schema that has them all. Helpers of an older release lack those with arguments. */
export function findHelpers(rows: readonly SqlRow[]): Helpers {
  const bySchema = new Map<string, Set<string>>();
  const foreign = new Set<string>();
  for (const [schema, signature, owner, isOurs] of rows) {
    if (isOurs !== 't') {
      foreign.add(owner ?? '');
      continue;
    }
    const known = bySchema.get(schema ?? '') ?? new Set();
    bySchema.set(schema ?? '', known.add(signature ?? ''));
  }
  const missingOf = (known: ReadonlySet<string>) => helpers.filter((helper) => !known.has(helper));
  const [best] = [...bySchema]
    .map(([schema, known]) => ({ schema, missing: missingOf(known) }))
    .toSorted((a, b) => a.missing.length - b.missing.length);
  if (best?.missing.length === 0) return { kind: 'found', schema: best.schema };
  return { kind: 'missing', missing: best?.missing ?? helpers, foreign: [...foreign] };
}

/** A hint how to install missing helpers. `database` is the one that the session is connected to. */
export function installHint(capabilities: Capabilities, user: string, database: string): string {
  const command = `psql -U ${user} -d ${database} < scripts/${capabilities.helperSqlFile}`;
  return `Install the helper functions on the primary: ${command}`;
}

export function dataDirectoriesSql(schema: string): string {
  return `SELECT * FROM ${sqlIdentifier(schema)}.cmd_get_data_dirs()`;
}

export function dataDirectorySql(schema: string): string {
  return `SELECT * FROM ${sqlIdentifier(schema)}.cmd_get_pgdata() LIMIT 1`;
}

// -- the backup --

/** The labels that we accept: a label must stay one line, and be readable in every encoding. */
function checkedLabel(label: string): string {
  if (/^[\x20-\x7e]{1,200}$/.test(label)) return label;
  throw new PitrError(`not usable as the label of a backup: ${JSON.stringify(label)}`, {
    hint: 'A label is 1 to 200 printable ASCII characters.',
  });
}

/** The application_name of a session from the start of its backup on: nothing else shows that it has one. */
const backupSession = 'pitrtools base backup';

/** One row: where the backup starts. `fast` asks for a checkpoint at once, not spread over minutes. */
export function startBackupSql(
  { backupApi }: Capabilities,
  schema: string,
  label: string,
  fast: boolean,
): string {
  const start = `SELECT ${sqlIdentifier(schema)}.cmd_pg_start_backup(${sqlLiteral(checkedLabel(label))}, ${fast})`;
  if (backupApi === 'exclusive') return start;
  return `${start} WHERE set_config('application_name', ${sqlLiteral(backupSession)}, false) <> ''`;
}

function exclusiveBackupsSql({ canExclusive, tellsExclusive }: Capabilities): string {
  if (!canExclusive) return '0';
  if (tellsExclusive) return 'pg_is_in_backup()::int';
  return "(SELECT count(*) FROM pg_ls_dir('.') AS name WHERE name = 'backup_label')";
}

/**
 * How many backups end if the server is stopped: those of pg_basebackup and of `startBackupSql` with their sessions, an exclusive
 * one because the server takes its label away. A session of ours runs a statement every few seconds: one that has not was left
 * by a connection that broke.
 */
export function runningBackupsSql(capabilities: Capabilities): string {
  const streamed = "(SELECT count(*) FROM pg_stat_replication WHERE state = 'backup')";
  const exclusive = exclusiveBackupsSql(capabilities);
  if (capabilities.backupApi === 'exclusive') return `SELECT (${streamed} + ${exclusive})::int AS backups`;
  const lives = "(state <> 'idle' OR state_change > clock_timestamp() - interval '1 minute')";
  const ours = `(SELECT count(*) FROM pg_stat_activity WHERE application_name = ${sqlLiteral(backupSession)} AND ${lives})`;
  return `SELECT (${streamed} + ${ours} + ${exclusive})::int AS backups`;
}

/**
 * One row of `StoppedBackup`, or none where no backup with this label was in progress (up to 9.5). Up to 9.6 it
 * waits until PostgreSQL has archived the WAL of the backup: the caller sets the limit.
 */
export function stopBackupSql(schema: string, label: string): string {
  return `SELECT lsn, labelfile, spcmapfile FROM ${sqlIdentifier(schema)}.cmd_pg_stop_backup(${sqlLiteral(checkedLabel(label))})`;
}

/** One row for each other session whose statement names this label. */
export function sessionsNamingSql(label: string): string {
  const half = Math.floor(label.length / 2);
  const [first, second] = [label.slice(0, half), label.slice(half)].map((part) => sqlLiteral(part));
  // The whole row, because the column of the statement has had two names.
  return `SELECT 1 FROM pg_stat_activity AS a WHERE position(${first ?? ''} || ${second ?? ''} IN a::text) > 0`;
}

export interface StoppedBackup {
  readonly stopLsn: bigint;
  /** Contents for `backup_label`; undefined when the server left that file in its data directory (up to 9.5). */
  readonly labelFile: string | undefined;
  /** Contents for `tablespace_map`; undefined when there is none to write. */
  readonly tablespaceMap: string | undefined;
}

/** Undefined if nothing was ended. */
export function parseStoppedBackup(rows: readonly SqlRow[]): StoppedBackup | undefined {
  const [row] = rows;
  if (row === undefined) return undefined;
  const [lsn, labelFile, tablespaceMap] = row;
  return {
    stopLsn: parseLsn(lsn ?? ''),
    labelFile: textOf(labelFile),
    tablespaceMap: textOf(tablespaceMap),
  };
}

/** A base backup of a standby, without helper functions: it ends with its session. */
export function startOnStandbySql({ backupApi }: Capabilities, label: string, fast: boolean): string {
  const text = sqlLiteral(checkedLabel(label));
  return backupApi === 'nonexclusive-backup_start'
    ? `SELECT pg_backup_start(${text}, ${fast})`
    : `SELECT pg_start_backup(${text}, ${fast}, false)`;
}

/** One row: lsn, labelfile, spcmapfile. A standby archives nothing, so there is nothing to wait for. */
export function stopOnStandbySql({ backupApi, canStopWithoutWaiting }: Capabilities): string {
  const call =
    backupApi === 'nonexclusive-backup_start'
      ? 'pg_backup_stop(false)'
      : `pg_stop_backup(false${canStopWithoutWaiting ? ', false' : ''})`;
  return `SELECT lsn::text AS lsn, labelfile, spcmapfile FROM ${call}`;
}

/** The exclusive backup outlives its session: for `-A start_basebackup`, up to 14. */
export function startExclusiveBackupSql(capabilities: Capabilities, label: string, fast: boolean): string {
  requireExclusive(capabilities);
  return `SELECT pg_start_backup(${sqlLiteral(checkedLabel(label))}, ${fast})`;
}

/**
 * Ends the exclusive backup with this label and returns its end; no row if there is no such backup. All is in
 * parentheses: psql runs what it has when its input ends, and no part of the statement may end another backup.
 */
export function stopExclusiveBackupSql(capabilities: Capabilities, label: string): string {
  requireExclusive(capabilities);
  const line = sqlLiteral(`LABEL: ${checkedLabel(label)}`);
  return (
    'SELECT * FROM (SELECT pg_stop_backup() WHERE CASE ' +
    "WHEN 'backup_label' IN (SELECT pg_ls_dir('.')) " +
    `THEN ${line} = ANY (string_to_array(${readLabelFile(capabilities)}, E'\\n')) ELSE false END) AS ours`
  );
}

/** The text of `backup_label` on the server while an exclusive backup is in progress, otherwise no row. */
export function exclusiveBackupLabelSql(capabilities: Capabilities): string {
  requireExclusive(capabilities);
  return `SELECT ${readLabelFile(capabilities)} WHERE 'backup_label' IN (SELECT pg_ls_dir('.'))`;
}

function readLabelFile(capabilities: Capabilities): string {
  return capabilities.readFileNeedsLength
    ? "pg_read_file('backup_label', 0, 100000)"
    : "pg_read_file('backup_label')";
}

function requireExclusive(capabilities: Capabilities): void {
  if (capabilities.canExclusive) return;
  throw new PitrError(`PostgreSQL ${capabilities.version.major} has no exclusive backup`, {
    hint: 'Use cmd_standby -B: it begins and ends the backup in one session.',
  });
}

// -- WAL --

/** `checkpointPrivilege` says which roles may do this. A backup does not need it: its start makes a checkpoint. */
export const checkpointSql = 'CHECKPOINT';

/** One row: whether this role may run CHECKPOINT. An error would end the session. */
export function mayCheckpointSql({ checkpointPrivilege }: Capabilities): string {
  const superuser = "current_setting('is_superuser') = 'on'";
  if (checkpointPrivilege === 'superuser') return `SELECT ${superuser}`;
  return `SELECT ${superuser} OR pg_has_role(current_user, 'pg_checkpoint', 'MEMBER')`;
}

/** The answer to a question whose one column is a boolean, as psql prints it. */
export function isTrue(rows: readonly SqlRow[]): boolean {
  return rows[0]?.[0] === 't';
}

/**
 * Any role that may connect can do this. The end of the transaction is a record, without which no segment is
 * switched.
 */
export const writeWalRecordSql = 'SELECT txid_current()';

/**
 * Ends the current segment and returns its name. If nothing was written to it, nothing is ended, and the name is
 * that of the segment that was ended last.
 */
export function switchWalSql(capabilities: Capabilities): string {
  const { walFileNameFunction, switchWalFunction, walFileNameOfBoundary } = capabilities;
  // If there was nothing to end, the switch returns the boundary after the segment in question.
  const back = walFileNameOfBoundary === 'segment before' ? '' : ' - 1';
  return `SELECT ${walFileNameFunction}(${switchWalFunction}()${back})`;
}

/** One row of `WalPosition`; only on a server that is not in recovery. */
export function walPositionSql(capabilities: Capabilities): string {
  const { walFileNameFunction, currentLsnFunction } = capabilities;
  return `SELECT here::text, ${walFileNameFunction}(here) FROM (SELECT ${currentLsnFunction}() AS here OFFSET 0) AS p`;
}

export interface WalPosition {
  readonly lsn: bigint;
  readonly timeline: number;
}

export function parseWalPosition(rows: readonly SqlRow[]): WalPosition {
  const [lsn, file] = rows[0] ?? [];
  const segment = parseWalName(file ?? '');
  if (segment.kind !== 'segment') throw new PitrError(`not the name of a WAL segment: '${file ?? ''}'`);
  return { lsn: parseLsn(lsn ?? ''), timeline: segment.timeline };
}

// -- cluster --

/** One row for each tablespace with a directory of its own: oid, name, directory. */
export function tablespacesSql(capabilities: Capabilities): string {
  const location = { spclocation: 'spclocation', pg_tablespace_location: 'pg_tablespace_location(oid)' };
  return (
    `SELECT oid, spcname, location FROM (SELECT oid, spcname, ${location[capabilities.tablespaceLocation]} ` +
    "AS location FROM pg_tablespace) AS t WHERE location LIKE '/%' ORDER BY oid"
  );
}

export interface Tablespace {
  /** Name of its link in `pg_tblspc`. */
  readonly oid: string;
  readonly name: string;
  /** The path on the server. */
  readonly location: string;
}

/** Oids and locations become paths here: values that no server has are refused. */
export function parseTablespaces(rows: readonly SqlRow[]): Tablespace[] {
  return rows.map((row) => {
    const [oid = '', name = '', location = ''] = row.map((field) => field ?? '');
    if (/^\d{1,10}$/.test(oid) && isPlainPath(location)) return { oid, name, location };
    throw refusal(
      `the primary names a tablespace that no server has: ${JSON.stringify([oid, name, location])}`,
      {
        hint: 'Nothing was changed. Look at pg_tablespace there, and at pg_tblspc in its data directory.',
      },
    );
  });
}

/** The answer to `dataDirectorySql`. */
export function parseDataDirectory(rows: readonly SqlRow[]): string {
  const path = rows[0]?.[0] ?? '';
  if (isPlainPath(path)) return path;
  throw refusal(`the primary names a data directory that no server has: ${JSON.stringify(path)}`);
}

/** An absolute path, without parts that lead out of it. */
function isPlainPath(path: string): boolean {
  return path.startsWith('/') && !path.includes('\0') && !path.split('/').includes('..');
}

/**
 * One row for each tablespace: oid and bytes; bytes are empty if the role lacks the right to ask. The small one that
 * all databases share is left out.
 */
export function tablespaceSizesSql({ hasReadAllStatsRole }: Capabilities): string {
  const own = 'oid = (SELECT dattablespace FROM pg_database WHERE datname = current_database())';
  const role = hasReadAllStatsRole ? " OR pg_has_role(current_user, 'pg_read_all_stats', 'MEMBER')" : '';
  const mayAsk = `${own} OR has_tablespace_privilege(oid, 'CREATE')${role}`;
  return `SELECT oid, CASE WHEN ${mayAsk} THEN pg_tablespace_size(oid) END FROM pg_tablespace WHERE spcname <> 'pg_global'`;
}

/** By oid; undefined if the role lacks the right to ask. */
export function parseTablespaceSizes(rows: readonly SqlRow[]): ReadonlyMap<string, number | undefined> {
  return new Map(
    rows.map(([oid, size]) => [oid ?? '', textOf(size) === undefined ? undefined : Number(size)]),
  );
}

/** The oid of the tablespace `pg_default`, in every cluster. */
export const defaultTablespaceOid = '1663';

function textOf(value: string | null | undefined): string | undefined {
  return value === null || value === undefined || value === '' ? undefined : value;
}
