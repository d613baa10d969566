import { accessSync, constants } from 'node:fs';

/**
 * libpq's variables that determine how to log in (manual, section "Environment Variables"): passwords, certificates,
 * Kerberos, and the encryption that the site demands. doc/environment.md promises that they apply to us as well.
 */
const loginVariables = new Set([
  'PGPASSFILE',
  'PGPASSWORD',
  'PGSERVICEFILE',
  'PGSYSCONFDIR',
  'PGREQUIREAUTH',
  'PGREQUIRESSL',
  'PGCHANNELBINDING',
  'PGSSLMODE',
  'PGSSLNEGOTIATION',
  'PGSSLCERT',
  'PGSSLCERTMODE',
  'PGSSLKEY',
  'PGSSLROOTCERT',
  'PGSSLCRL',
  'PGSSLCRLDIR',
  'PGSSLSNI',
  'PGSSLMINPROTOCOLVERSION',
  'PGSSLMAXPROTOCOLVERSION',
  'PGGSSENCMODE',
  'PGGSSDELEGATION',
  'PGGSSLIB',
  'PGKRBSRVNAME',
]);

/** The other variables of libpq and psql, by name. A remote shell can then be cleaned of them without listing its variables. */
const connectionVariables = [
  'PGHOST',
  'PGHOSTADDR',
  'PGPORT',
  'PGDATABASE',
  'PGUSER',
  'PGSERVICE',
  'PGOPTIONS',
  'PGAPPNAME',
  'PGCLIENTENCODING',
  'PGCONNECT_TIMEOUT',
  'PGDATA',
  'PGDATESTYLE',
  'PGTZ',
  'PGGEQO',
  'PGTARGETSESSIONATTRS',
  'PGLOADBALANCEHOSTS',
  'PGCTLTIMEOUT',
  // Debian's wrapper of psql chooses its server by this variable.
  'PGCLUSTER',
  'PSQLRC',
  'PSQL_PAGER',
];

/** Variables that change the work or the output of rsync, grep, the shell, find, du and df. */
const toolVariables = [
  'RSYNC_RSH',
  'RSYNC_CONNECT_PROG',
  'RSYNC_OLD_ARGS',
  'RSYNC_PROTECT_ARGS',
  'RSYNC_PARTIAL_DIR',
  'RSYNC_ICONV',
  'RSYNC_SHELL',
  'GREP_OPTIONS',
  'GREP_COLOR',
  'GREP_COLORS',
  'CDPATH',
  'ENV',
  'BASH_ENV',
  'GLOBIGNORE',
  'TMOUT',
  'POSIXLY_CORRECT',
  'BLOCK_SIZE',
  'BLOCKSIZE',
  'DF_BLOCK_SIZE',
  'DU_BLOCK_SIZE',
  'LS_BLOCK_SIZE',
  'QUOTING_STYLE',
  'TIME_STYLE',
];

const languageVariables = ['LANG', 'LANGUAGE'];

const removed = new Set([...connectionVariables, ...toolVariables, ...languageVariables]);
/**
 * A newer release may know more variables of these kinds. `PG` alone would also remove PG_OOM_ADJUST_FILE and the
 * like.
 */
const removedKinds = /^(PG[A-Z]|RSYNC_|GREP_|LC_|BASH_FUNC_)/;

function isKept(name: string): boolean {
  return !removed.has(name) && (loginVariables.has(name) || !removedKinds.test(name));
}

export type Environment = Readonly<Record<string, string>>;

/**
 * The caller's environment without the variables that would change the work of our programs, and with the language
 * whose output we can read.
 */
export function cleanedEnvironment(given: NodeJS.ProcessEnv): Environment {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(given)) {
    if (value !== undefined && isKept(name)) kept[name] = value;
  }
  return { ...kept, LC_ALL: 'C' };
}

/** One line of sh that does the same in a login on another host. */
export const cleanShellLine = `LC_ALL=C; export LC_ALL; unset ${[...removed].join(' ')}`;

/** The directory in which we were called, if it still exists and can be entered; in any other one spawn(2) fails. */
export function callersDirectory(): string {
  try {
    const directory = process.cwd();
    accessSync(directory, constants.X_OK);
    return directory;
  } catch {
    return '/';
  }
}
