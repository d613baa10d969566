import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../errors.ts';
import { checkControlFile, type ClusterState, systemIdentifierOf } from '../../postgres/control-file.ts';
import { readIfExists, systemErrorCode } from '../../system/durable.ts';
import { incompleteControlFile } from '../server/data-directory.ts';
import { readRecord, type StandbyRecord } from './backup-record/record.ts';

/** The content of pgdata, as far as it decides whether a base backup may replace it. */
export type PgdataContent =
  | { readonly kind: 'missing' }
  | { readonly kind: 'empty' }
  | {
      readonly kind: 'cluster';
      /** Decimal. */
      readonly systemIdentifier: string;
      /** As initdb made it: it never contained a database or a table of a user. */
      readonly isFresh: boolean;
      /** A production server ended here without a shutdown. A copy on which no server has started yet looks different. */
      readonly isCrashed: boolean;
    }
  | { readonly kind: 'unknown'; readonly reason: string };

/**
 * Names that a DBA may put into an empty data directory before the base backup, such as a link for the WAL, and names
 * of a file system's own entries.
 */
const noContent = new Set([
  'postgresql.conf',
  'pg_hba.conf',
  'pg_ident.conf',
  'conf.d',
  'lost+found',
  'pg_wal',
  'pg_xlog',
]);

/** The directories in which the files of pg_basebackup are until all of them have arrived. */
export const receivingName = '.pitrtools-receiving';

/** Files of a killed run of ours: the probe of storage that both hosts share, and the record that was being written. */
const leftover = /^\.{1,2}pitrtools-probe-|^\.pitrtools\.json\.\d+\.tmp$/;

function isContent(name: string): boolean {
  return !noContent.has(name) && !name.startsWith(receivingName) && !leftover.test(name);
}

/** The numbers of user-made objects begin here (FirstNormalObjectId). */
const firstUserNumber = 16_384;

async function listIfExists(directory: string): Promise<readonly string[] | undefined> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function identifierOfFile(pgdata: string, name: string): Promise<string | undefined> {
  const bytes = await readIfExists(join(pgdata, 'global', name));
  return bytes === undefined ? undefined : systemIdentifierOf(bytes);
}

/**
 * The record of an unfinished copy names its cluster. The control file that was taken away may belong to the cluster
 * that the copy replaces.
 */
async function identifierIn(pgdata: string): Promise<string | undefined> {
  const { backup } = await readRecord(pgdata).catch((): StandbyRecord => ({}));
  return (
    (await identifierOfFile(pgdata, 'pg_control')) ??
    backup?.systemIdentifier ??
    (await identifierOfFile(pgdata, incompleteControlFile))
  );
}

/** A cluster in which no user has made anything, such as the one that Debian's package makes. */
async function isFreshCluster(pgdata: string): Promise<boolean> {
  const base = join(pgdata, 'base');
  const databases = (await listIfExists(base)) ?? [];
  const files = await Promise.all(
    databases.map(async (name) => (await listIfExists(join(base, name))) ?? []),
  );
  const tablespaces = (await listIfExists(join(pgdata, 'pg_tblspc'))) ?? [];
  const numbers = [...databases, ...files.flat()].map((name) => Number.parseInt(name, 10));
  return tablespaces.length === 0 && databases.length > 0 && !numbers.some((n) => n >= firstUserNumber);
}

const unfinishedStates: readonly ClusterState[] = ['in-production', 'shutting-down', 'in-crash-recovery'];

/**
 * A base backup contains the state of the running server from which it was made. Its label distinguishes it from a
 * crashed server.
 */
async function isCrashedServer(pgdata: string, names: readonly string[]): Promise<boolean> {
  if (names.includes('backup_label')) return false;
  const bytes = await readIfExists(join(pgdata, 'global', 'pg_control'));
  const check = bytes === undefined ? undefined : checkControlFile(bytes);
  return check?.kind === 'good' && unfinishedStates.includes(check.control.state);
}

export async function inspectPgdata(pgdata: string): Promise<PgdataContent> {
  try {
    const names = await listIfExists(pgdata);
    if (names === undefined) return { kind: 'missing' };
    // The files that pg_basebackup received in a killed run are of no value.
    if (!names.some(isContent)) return { kind: 'empty' };
    const systemIdentifier = await identifierIn(pgdata);
    if (systemIdentifier !== undefined)
      return {
        kind: 'cluster',
        systemIdentifier,
        isFresh: await isFreshCluster(pgdata),
        isCrashed: await isCrashedServer(pgdata, names),
      };
    return { kind: 'unknown', reason: 'it is not empty and holds no global/pg_control' };
  } catch (error) {
    return { kind: 'unknown', reason: messageOf(error) };
  }
}
