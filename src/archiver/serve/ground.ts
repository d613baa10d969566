/**
 * The directories of this host's cluster: what a restricted key may read. A link leads out of the data directory only
 * where PostgreSQL itself uses one: to a tablespace, to pg_wal, or in the place of a directory that initdb makes.
 */
import { lstat, readdir, realpath, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isWithin } from '../../config/path-values.ts';
import { describeResult, type RunCommand, succeeded } from '../../system/command.ts';
import { systemErrorCode } from '../../system/durable.ts';
import type { RsyncModule } from '../../system/rsync-daemon.ts';

/** A directory that may be read, by each path that names it. */
interface Root {
  /** Without symbolic links. */
  readonly path: string;
  /** Relative to the data directory; empty for that itself. */
  readonly name: string;
}

export interface Ground {
  /** As the INI file has it. */
  readonly pgdata: string;
  readonly roots: readonly Root[];
}

const serverDirectories = [
  ...[
    'base',
    'global',
    'log',
    'pg_clog',
    'pg_commit_ts',
    'pg_dynshmem',
    'pg_log',
    'pg_logical',
    'pg_multixact',
  ],
  ...['pg_notify', 'pg_replslot', 'pg_serial', 'pg_snapshots', 'pg_stat', 'pg_stat_tmp', 'pg_subtrans'],
  ...['pg_tblspc', 'pg_twophase', 'pg_wal', 'pg_xact', 'pg_xlog'],
];

/** Directories that contain entries with numbers for names: databases, and links to tablespaces. */
const numbered = ['base', 'pg_tblspc'];

const findLimitMs = 600_000;
const mostLinksBytes = 64 * 1024 * 1024;

async function isLink(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined))?.isSymbolicLink() === true;
}

async function isDirectory(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() === true;
}

/** The links that PostgreSQL itself uses, as they are now. */
async function namedLinks(pgdata: string): Promise<readonly string[]> {
  const inside = await Promise.all(
    numbered.map(async (name) => {
      const entries = await readdir(join(pgdata, name), { withFileTypes: true }).catch(() => []);
      return entries
        .filter((entry) => entry.isSymbolicLink() && /^\d+$/.test(entry.name))
        .map((entry) => `${name}/${entry.name}`);
    }),
  );
  const outer = await Promise.all(
    serverDirectories.map(async (name) => ((await isLink(join(pgdata, name))) ? [name] : [])),
  );
  return [...outer, ...inside].flat();
}

/** Looks at the cluster as it is now: a tablespace may have been made since the last request. */
export async function observeGround(pgdata: string): Promise<Ground> {
  const roots: Root[] = [{ path: await realpath(pgdata), name: '' }];
  for (const name of await namedLinks(pgdata)) {
    const path = join(pgdata, name);
    if (await isDirectory(path)) roots.push({ path: await realpath(path), name });
  }
  return { pgdata, roots };
}

function isInside({ roots }: Ground, path: string): boolean {
  return roots.some((root) => isWithin(path, root.path));
}

/** The reason why this path must not be read; undefined if it is fine. Links are followed: what counts is where it leads. */
export async function outsideReason(ground: Ground, path: string): Promise<string | undefined> {
  if (path.split('/').includes('..')) return `${path} leads upwards`;
  try {
    return isInside(ground, await realpath(path)) ? undefined : `${path} is not in the data directory here`;
  } catch (error) {
    // A file may have been removed: where it was is what counts then.
    if (systemErrorCode(error) !== 'ENOENT' || path === '/') return `${path} cannot be looked at here`;
    return outsideReason(ground, dirname(path));
  }
}

function isHarmless(stderr: string): boolean {
  return stderr.split('\n').every((line) => line === '' || line.includes('No such file or directory'));
}

/** The paths that a link leads to and that belong to no root. Such a link would take rsync and find out of the cluster. */
export async function strayLinks(
  run: RunCommand,
  ground: Ground,
  signal: AbortSignal,
): Promise<string | undefined> {
  for (const { path, name } of ground.roots) {
    const result = await run(
      { program: 'find', args: [path, '-type', 'l', '-printf', '%P\\0'] },
      { limitMs: findLimitMs, maxOutputBytes: mostLinksBytes, signal },
    );
    // A running server removes files while find looks.
    const hasLooked = succeeded(result) || (result.kind === 'exited' && isHarmless(result.stderr));
    if (!hasLooked) return `the links below ${path} cannot be listed: ${describeResult(result)}`;
    for (const link of result.stdout.split('\0').filter((each) => each !== '')) {
      // A name that is no valid text cannot be looked up.
      if (link.includes('\ufffd')) return `${join(path, link)} has a name that is no valid text`;
      const isNamed = ground.roots.some((root) => root.name === (name === '' ? link : `${name}/${link}`));
      const full = join(path, link);
      if (!isNamed && (await isDirectory(full)) && !isInside(ground, await realpath(full)))
        return `${full} is a link to a directory that is no part of the cluster: a restricted key cannot read beside it`;
    }
  }
  return undefined;
}

/** The directories for rsync. The other end names a directory by a path with or without links. */
export async function readableModules(ground: Ground): Promise<readonly RsyncModule[]> {
  const byPath = new Map<string, string>();
  for (const { path, name } of ground.roots) {
    byPath.set(path, path);
    byPath.set(join(ground.pgdata, name), path);
    for (const each of await belowTablespace(path, name)) byPath.set(each, each);
  }
  for (const wal of ['pg_wal', 'pg_xlog']) {
    const path = join(ground.pgdata, wal);
    if (!(await isDirectory(path))) continue;
    for (const asked of [path, await realpath(path), join(ground.roots[0]?.path ?? '', wal)])
      byPath.set(asked, await realpath(path));
  }
  return [...byPath].map(([asked, path]) => ({ asked, path, access: 'read' }));
}

/** From 9.0 on each release has a folder of its own in a tablespace. */
async function belowTablespace(path: string, name: string): Promise<readonly string[]> {
  if (!name.startsWith('pg_tblspc/')) return [];
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isDirectory() && /^PG_[0-9.]+_\d+$/.test(entry.name))
    .map((entry) => join(path, entry.name));
}
