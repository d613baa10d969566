import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, PitrError } from '../../errors.ts';
import { compareWalNames, parseWalName, type WalName } from '../../postgres/wal-name.ts';
import { exists, fsyncPath, systemErrorCode } from '../../system/durable.ts';
import { rename } from '../../system/files.ts';
import { readPostmaster } from '../../system/postmaster.ts';
import type { Cluster } from './cluster.ts';
import { checkWalFile, readySuffix, statusOf, walFileAt } from './wal-file.ts';

/** The WAL that PostgreSQL still has to archive. */
export type ReadyFiles =
  /** PostgreSQL runs here and archives by itself. */
  | { readonly kind: 'running'; readonly pid: number }
  /** It cannot be determined whether it runs. */
  | { readonly kind: 'unclear'; readonly reason: string }
  | {
      readonly kind: 'stopped';
      /** pg_wal, or pg_xlog. */
      readonly directory: string;
      readonly names: readonly WalName[];
      /** The reasons why files that are marked as ready cannot be shipped. */
      readonly problems: readonly string[];
    };

const doneSuffix = '.done';

/** pg_wal, or pg_xlog up to 9.6. */
export async function walDirectory(pgdata: string): Promise<string> {
  for (const name of ['pg_wal', 'pg_xlog']) {
    if (await exists(join(pgdata, name))) return join(pgdata, name);
  }
  throw new PitrError(`"${pgdata}" holds neither pg_wal nor pg_xlog`);
}

/** The names in archive_status, unsorted. They are not processed here: there may be very many. */
export async function listStatus(
  directory: string,
): Promise<{ readonly ready: readonly string[]; readonly done: readonly string[] }> {
  const status = statusOf(directory);
  const entries = await readdir(status).catch((error: unknown) => {
    throw new PitrError(`cannot look into "${status}"`, { detail: messageOf(error), cause: error });
  });
  const endingWith = (suffix: string): readonly string[] =>
    entries
      .filter((entry) => entry.endsWith(suffix))
      .map((entry) => entry.slice(0, -suffix.length))
      .filter((name) => parseWalName(name).kind !== 'not-wal');
  return { ready: endingWith(readySuffix), done: endingWith(doneSuffix) };
}

/**
 * PostgreSQL says that it has archived this segment: its mark says so, or the segment was recycled since. Not to be marked as
 * ready is no proof by itself: PostgreSQL makes that mark a moment later.
 */
export async function isArchived(directory: string, name: string): Promise<boolean> {
  const marked = (suffix: string) => exists(join(statusOf(directory), `${name}${suffix}`));
  if (await marked(readySuffix)) return false;
  return (await marked(doneSuffix)) || !(await exists(join(directory, name)));
}

/** Reads what is ready, only if PostgreSQL is stopped: a running server archives and recycles by itself. */
export async function readReadyFiles(pgdata: string, cluster: Cluster): Promise<ReadyFiles> {
  const postmaster = await readPostmaster(pgdata);
  if (postmaster.kind === 'running') return { kind: 'running', pid: postmaster.pid };
  if (postmaster.kind === 'unclear') return postmaster;
  const directory = await walDirectory(pgdata);
  const names: WalName[] = [];
  const problems: string[] = [];
  const ready = (await listStatus(directory)).ready
    .map(parseWalName)
    .filter((name) => name.kind !== 'not-wal');
  for (const name of ready.sort(compareWalNames)) {
    try {
      await checkWalFile(await walFileAt(join(directory, name.text), name), cluster, pgdata);
      names.push(name);
    } catch (error) {
      if (!(error instanceof PitrError)) throw error;
      problems.push(error.message);
    }
  }
  return { kind: 'stopped', directory, names, problems };
}

/** Marks these files as archived for PostgreSQL. */
export async function markDone(directory: string, names: readonly string[]): Promise<void> {
  const status = statusOf(directory);
  for (const name of names) {
    try {
      await rename(join(status, `${name}${readySuffix}`), join(status, `${name}${doneSuffix}`));
    } catch (error) {
      // If a server was started meanwhile, it has done this itself.
      if (systemErrorCode(error) !== 'ENOENT') throw error;
    }
  }
  if (names.length > 0) await fsyncPath(status);
}
