/**
 * What of a data directory is copied (manual, section "Making a Base Backup Using the Low Level API": "Backing Up The
 * Data Directory"). rsync also leaves alone on the standby what is left out here: `pgdata-files.ts` removes what of it
 * belongs to the server that was there before.
 */
import type { TablespaceTarget } from '../tablespaces.ts';

/** Directories that a server fills anew: made, and left empty. */
export const emptiedDirectories = [
  'pg_dynshmem',
  'pg_notify',
  'pg_replslot',
  'pg_serial',
  'pg_snapshots',
  'pg_stat_tmp',
  'pg_subtrans',
];

/** They belong to one server's run, backup or recovery, and would mislead another. */
export const runtimeFiles = [
  'backup_label',
  'backup_label.old',
  'backup_manifest',
  'current_logfiles',
  'postgresql.auto.conf.tmp',
  'pitrtools-restore-trouble',
  'postmaster.opts',
  'postmaster.pid',
  'recovery.conf',
  'recovery.done',
  'recovery.signal',
  'standby.signal',
  'tablespace_map',
  'tablespace_map.old',
];

/** The standby's own: neither replaced nor removed. */
const keptFiles = [
  'postgresql.conf',
  'pg_hba.conf',
  'pg_ident.conf',
  'pitrtools.json',
  'pitrtools-server.log',
  'log',
  'pg_log',
  'lost+found',
];

/** Configuration files of this host that another one took the place of. */
const keptPatterns = ['*.before-pitrtools-*'];

const walDirectories = ['pg_wal', 'pg_xlog'];

/** The control file goes last, and by itself. */
const controlFiles = ['global/pg_control', 'global/pg_control.pitrtools'];

const everywhere = ['pgsql_tmp*', 'pg_internal.init*'];

/** rsync takes these characters for patterns. */
function literal(name: string): string {
  return name.replaceAll(/[[\]*?\\]/g, '\\$&');
}

function exclude(pattern: string): string {
  return `--exclude=${pattern}`;
}

/** Paths are anchored at the data directory by their first slash. */
export function dataRules(targets: readonly TablespaceTarget[]): readonly string[] {
  const anchored = [...runtimeFiles, ...keptFiles, ...walDirectories, ...controlFiles];
  return [
    ...anchored.map((path) => exclude(`/${literal(path)}`)),
    ...keptPatterns.map((pattern) => exclude(`/${pattern}`)),
    ...emptiedDirectories.map((path) => exclude(`/${path}/*`)),
    // The links are made anew, to where the tablespaces are here.
    ...targets.map(({ oid }) => exclude(`/pg_tblspc/${oid}`)),
    ...everywhere.map(exclude),
  ];
}

/** For a database that is copied by itself. */
export function databaseRules(): readonly string[] {
  return everywhere.map(exclude);
}

/**
 * From 9.0 the whole of the server's own folder. On 8.4 a tablespace's directory itself holds what the server
 * made, and perhaps more that is not the server's to remove.
 */
export function tablespaceRules(folder: string | undefined): readonly string[] {
  const rules = everywhere.map(exclude);
  if (folder !== undefined) return rules;
  return [...rules, '--include=/PG_VERSION', '--include=/[0-9]*', exclude('/*')];
}
