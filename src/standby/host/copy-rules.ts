/**
 * The parts of a data directory that are copied (manual, section "Making a Base Backup Using the Low Level API":
 * "Backing Up The Data Directory"), and the parts that belong to the standby. All other entries that the primary does
 * not have are removed here.
 */
import { relative } from 'node:path';
import { isWithin } from '../../config/path-values.ts';
import type { TablespaceTarget } from './tablespaces.ts';

/** The parts that are taken from one root. Paths are relative to it, without a slash at either end. */
export interface CopyRules {
  /** Nothing below these is listed on the primary: they are empty, foreign, or copied in another way. */
  readonly unread: readonly string[];
  /** Symbolic links in here are not followed. */
  readonly linksLeftAlone: readonly string[];
  readonly isCopied: (path: string) => boolean;
  /** Entries on the standby that are neither replaced nor removed nor read. */
  readonly isKept: (path: string, isLink: boolean) => boolean;
}

/** Directories that a server fills itself: they are made, and left empty. */
const emptiedDirectories = [
  'pg_dynshmem',
  'pg_notify',
  'pg_replslot',
  'pg_serial',
  'pg_snapshots',
  'pg_stat_tmp',
  'pg_subtrans',
];

/** Files that belong to one server's run, backup or recovery, and would mislead another server. */
export const runtimeFiles = [
  'backup_label',
  'backup_label.old',
  'backup_manifest',
  'current_logfiles',
  'fallback_promote',
  'logrotate',
  'pitrtools-action',
  'pitrtools-fence',
  'pitrtools-keep.lock',
  'pitrtools-promoting',
  'pitrtools-restore-trouble',
  'pitrtools-restore-looked',
  'postgresql.auto.conf.tmp',
  'postmaster.opts',
  'postmaster.pid',
  'promote',
  'recovery.conf',
  'recovery.done',
  'recovery.signal',
  'standby.signal',
  'tablespace_map',
  'tablespace_map.old',
];

/** The standby's own files. */
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

const walDirectories = ['pg_wal', 'pg_xlog'];

/** The control file is copied last, in a step of its own. */
const controlFiles = ['global/pg_control', 'global/pg_control.pitrtools'];

/** Configuration files of this host that were replaced and kept. */
const keptPattern = /^[^/]*\.before-pitrtools-[^/]*$/;

/** Core dumps, and files that other backup tools leave in a data directory. */
const leftover = /^core(\.\d+)?$|^\.barman[^/]*$|\.pgbackrest\.tmp$/;

/** Sort files and caches that a server makes for itself, at any depth. */
const ownUse = /(^|\/)(pgsql_tmp|pg_internal\.init)/;

/** Files of a session's temporary tables, from 9.1 on: `t`, the session, the number of the relation. */
const temporaryRelation = /(^|\/)\d+\/t\d+_\d+(_[a-z]+)?(\.\d+)?$/;

function isForNoOther(path: string): boolean {
  return ownUse.test(path) || temporaryRelation.test(path) || leftover.test(path);
}

function isBelow(path: string, directories: ReadonlySet<string>): boolean {
  const slash = path.indexOf('/');
  return slash > 0 && directories.has(path.slice(0, slash));
}

/**
 * The rules for the data directory.
 *
 * @param ownConfiguration names in it that are also the standby's own
 */
export function dataRules(
  targets: readonly TablespaceTarget[],
  primaryPgdata: string,
  ownConfiguration: readonly string[],
): CopyRules {
  // A tablespace inside the primary's data directory that goes elsewhere here is copied separately.
  const elsewhere = targets
    .filter(({ location, isInsidePgdata }) => !isInsidePgdata && isWithin(location, primaryPgdata))
    .map(({ location }) => relative(primaryPgdata, location));
  const planned = (name: string) => Buffer.from(name).toString('latin1');
  const own = [...keptFiles, ...ownConfiguration.map(planned)];
  const left = new Set([
    ...runtimeFiles,
    ...own,
    ...walDirectories,
    ...controlFiles,
    ...elsewhere.map(planned),
  ]);
  const emptied = new Set(emptiedDirectories);
  const kept = new Set([...own, ...walDirectories, ...controlFiles]);
  return {
    unread: [
      ...walDirectories,
      ...keptFiles,
      ...ownConfiguration,
      ...elsewhere,
      ...emptiedDirectories.map((path) => `${path}/*`),
    ],
    // The links are made again, to the places of the tablespaces here.
    linksLeftAlone: ['pg_tblspc'],
    isCopied: (path) =>
      !left.has(path) && !keptPattern.test(path) && !isBelow(path, emptied) && !isForNoOther(path),
    isKept: (path, isLink) =>
      kept.has(path) || keptPattern.test(path) || (isLink && /^pg_tblspc\/\d+$/.test(path)),
  };
}

/**
 * The rules for a tablespace. From 9.0 all of the server's own folder. On 8.4 the tablespace's directory itself
 * contains what the server made, and perhaps other entries that are not the server's to remove.
 */
export function tablespaceRules(folder: string | undefined): CopyRules {
  const isServers = (path: string) => folder !== undefined || /^(PG_VERSION$|\d)/.test(path);
  return {
    unread: [],
    linksLeftAlone: [],
    isCopied: (path) => isServers(path) && !isForNoOther(path),
    isKept: (path) => !isServers(path),
  };
}

const initFork = /^(.*\/)?(\d+)_init$/;
const relationFile = /^(?:.*\/)?\d+(?=(?:_[a-z]+)?(?:\.\d+)?$)/;

/**
 * Leaves out the contents of unlogged relations, which recovery discards: of a relation with an initialization fork
 * (9.1 and later) only that fork is needed.
 */
export function withoutUnlogged<F extends { readonly path: string }>(files: readonly F[]): readonly F[] {
  const unlogged = new Set(files.flatMap(({ path }) => (initFork.test(path) ? [path.slice(0, -5)] : [])));
  if (unlogged.size === 0) return files;
  return files.filter(({ path }) => {
    const relation = relationFile.exec(path)?.[0];
    return relation === undefined || !unlogged.has(relation) || initFork.test(path);
  });
}
