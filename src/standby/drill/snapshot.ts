/**
 * `drill_snapshot`: a command of the site that makes one atomic snapshot of all directories of the standby, and mounts it. What
 * it says is checked: nothing of the copy may be a directory of the standby.
 */
import { readdir, readFile, realpath } from 'node:fs/promises';
import { basename, isAbsolute, join, relative } from 'node:path';
import { isWithin } from '../../config/path-values.ts';
import { PitrError } from '../../errors.ts';
import { describeResult, succeeded } from '../../system/command.ts';
import {
  exists,
  readIfExists,
  removeDurably,
  requireOwnDirectory,
  writeDurably,
} from '../../system/durable.ts';
import { mkdir, removeFile, removeTree, symlink, writePrivately } from '../../system/files.ts';
import { is, parseJson } from '../../system/json.ts';
import { quoted } from '../../system/printable.ts';
import type { StandbyDeps } from '../deps.ts';
import { runtimeFiles } from '../host/copy-rules.ts';
import { findOwnOverlaps } from '../host/same-place.ts';
import { rewriteTablespaceMap } from '../host/tablespaces.ts';
import { readWalLink } from '../host/wal-link.ts';
import type { Origin } from './origin.ts';
import type { DrillPlace } from './place.ts';
import { entriesOf } from './tree.ts';

const noteName = 'snapshot.json';
const limitMs = 600_000;

const noteFields = { name: is.text, pgdata: is.optional(is.text) } as const;

/** The directories that one snapshot must hold: links in pgdata lead to the others. */
async function sourcesOf({ server, tablespaces }: Origin): Promise<readonly string[]> {
  const { pgdata, capabilities } = server;
  const wal = (await readWalLink(pgdata, capabilities.walDirName))?.directory;
  const outside = tablespaces.map(({ location }) => location).filter((path) => !isWithin(path, pgdata));
  return [pgdata, ...(wal === undefined ? [] : [wal]), ...outside];
}

async function call(
  deps: StandbyDeps,
  what: 'create' | 'remove',
  name: string,
  sources: readonly string[],
): Promise<string> {
  const { drill_snapshot: command = '', pgdata } = deps.settings;
  const env = {
    PITRTOOLS_PROGRAM: 'cmd_standby',
    PITRTOOLS_STANDBY: deps.hostName,
    PITRTOOLS_PGDATA: pgdata,
    PITRTOOLS_SNAPSHOT: name,
    PITRTOOLS_DIRECTORIES: sources.join('\n'),
  };
  const args = ['-c', `${command} "$@"`, 'sh', what];
  const result = await deps.run(
    { program: '/bin/sh', args },
    { limitMs, env, asCaller: true, signal: deps.signal },
  );
  deps.signal.throwIfAborted();
  if (succeeded(result)) return result.stdout;
  throw new PitrError(`drill_snapshot ${what} has failed`, {
    detail: describeResult(result),
    hint: `Run it by hand, as in doc/drill.md: PITRTOOLS_SNAPSHOT=${name}`,
  });
}

/** Lines `mount: DIRECTORY=PLACE`, and one `snapshot: atomic`; all others are the command's own words. */
export function parseSnapshot(
  text: string,
  sources: readonly string[],
): ReadonlyMap<string, string> | string {
  const lines = text.split('\n').map((line) => line.trim());
  const verdict = lines.find((line) => line.startsWith('snapshot: '))?.slice('snapshot: '.length);
  if (verdict !== 'atomic')
    return verdict === undefined
      ? 'it does not say "snapshot: atomic"'
      : `it says "snapshot: ${quoted(verdict, 100)}", not "snapshot: atomic"`;
  const places = new Map<string, string>();
  for (const source of sources) {
    const begin = `mount: ${source}=`;
    const place = lines.find((line) => line.startsWith(begin))?.slice(begin.length);
    if (place === undefined) return `it does not say where "${source}" is mounted`;
    if (!isAbsolute(place))
      return `it says that "${source}" is mounted at "${quoted(place, 200)}", which is no path`;
    places.set(source, place);
  }
  return places;
}

const doubtful = (why: string): PitrError =>
  new PitrError(`drill_snapshot create has exited 0, but ${why}`, {
    hint: 'Correct the command: see doc/drill.md.',
  });

/** A file that is written in the copy must not appear in the standby. */
async function requireApart(deps: StandbyDeps, source: string, place: string): Promise<void> {
  await requireOwnDirectory(place);
  const [overlap] = await findOwnOverlaps(deps.run, [await realpath(place), await realpath(source)]);
  if (overlap !== undefined) throw doubtful(`"${place}" is, or overlaps with, "${source}" itself`);
  const name = `.pitrtools-probe-${deps.nonce()}`;
  await writePrivately(join(place, name), '').catch((error: unknown) => {
    throw new PitrError(`"${place}", which drill_snapshot has mounted, cannot be written to`, {
      cause: error,
    });
  });
  try {
    if (await exists(join(source, name)))
      throw doubtful(`what is written to "${place}" appears in "${source}"`);
  } finally {
    await removeFile(join(place, name));
  }
}

/** Configuration files are written anew. */
const configurationFiles = new Set(['postgresql.conf', 'pg_hba.conf', 'pg_ident.conf']);
/** Directories that a server can do without. */
const dispensable = new Set(['pg_stat_tmp', 'log', 'pg_log']);

function leadsOut(path: string): PitrError {
  return new PitrError(`"${path}" is a link that leads out of the snapshot`, {
    hint: 'Such a standby can be copied only without drill_snapshot.',
  });
}

/** Those in pg_tblspc are made anew. */
async function requireNoLinks(directory: string): Promise<void> {
  for (const entry of await entriesOf(directory)) {
    const path = join(directory, entry.name);
    if (entry.isSymbolicLink() && basename(directory) !== 'pg_tblspc') throw leadsOut(path);
    if (entry.isDirectory() && entry.name !== 'lost+found') await requireNoLinks(path);
  }
}

/** The directories below pgdata that a server writes to. */
const serversOwn = /^(base|global|pg_.*)$/;

/** A link that leads out of the snapshot would have the copy's server write to the standby's own files. */
async function cutLinks(pgdata: string, walDirName: string): Promise<void> {
  for (const entry of await entriesOf(pgdata)) {
    const { name } = entry;
    const path = join(pgdata, name);
    if (entry.isDirectory() && serversOwn.test(name) && !dispensable.has(name)) await requireNoLinks(path);
    if (!entry.isSymbolicLink() || name === walDirName || configurationFiles.has(name)) continue;
    if (!dispensable.has(name)) throw leadsOut(path);
    await removeFile(path);
    await mkdir(path, { mode: 0o700 });
  }
}

/** Removes what belongs to the standby's server as it ran, and would mislead the copy's. */
async function clean(pgdata: string): Promise<void> {
  // As long as they are there, recovery begins with them.
  const kept = new Set(['backup_label', 'tablespace_map']);
  for (const name of runtimeFiles) if (!kept.has(name)) await removeFile(join(pgdata, name));
  // A slot of the standby would keep WAL, and belongs to nobody here.
  const slots = join(pgdata, 'pg_replslot');
  for (const name of await readdir(slots).catch(() => [])) await removeTree(join(slots, name));
}

/** The directory of the copy in the place of one of the standby's; a tablespace may lie inside pgdata. */
function placeIn({ server }: Origin, places: ReadonlyMap<string, string>, directory: string) {
  const { pgdata } = server;
  const place = places.get(directory);
  const copy = places.get(pgdata);
  if (place !== undefined || copy === undefined || !isWithin(directory, pgdata)) return place;
  return join(copy, relative(pgdata, directory));
}

async function relink(origin: Origin, pgdata: string, places: ReadonlyMap<string, string>) {
  const { server, tablespaces, folder } = origin;
  const { walDirName } = server.capabilities;
  const replace = async (link: string, source: string | undefined): Promise<void> => {
    const place = source === undefined ? undefined : placeIn(origin, places, source);
    if (place === undefined) return;
    await removeFile(link);
    await symlink(place, link);
  };
  const wal = await readWalLink(server.pgdata, walDirName);
  await replace(join(pgdata, walDirName), wal?.directory);
  for (const { oid, location } of tablespaces) {
    await replace(join(pgdata, 'pg_tblspc', oid), location);
    const place = placeIn(origin, places, location);
    if (place !== undefined) await requireNoLinks(join(place, folder ?? ''));
  }
}

/** In a base backup on which no server was started: its server would link the tablespaces anew. */
async function rewriteMap(origin: Origin, pgdata: string, places: ReadonlyMap<string, string>) {
  const path = join(pgdata, 'tablespace_map');
  const map = await readFile(path, 'utf8').catch(() => undefined);
  if (map === undefined) return;
  const targets = origin.tablespaces.map((each) => ({
    ...each,
    target: placeIn(origin, places, each.location) ?? each.location,
    name: '',
    isInsidePgdata: false,
  }));
  await removeFile(path);
  await writePrivately(path, rewriteTablespaceMap(map, targets, origin.server.capabilities));
}

/** @returns the place of the drill with the copy's data directory */
export async function takeSnapshot(
  deps: StandbyDeps,
  origin: Origin,
  place: DrillPlace,
): Promise<DrillPlace> {
  const sources = await sourcesOf(origin);
  const name = `pitrtools-${deps.nonce()}`;
  const note = join(place.run, noteName);
  // Before it exists: whatever ends this run, the next one has it removed.
  await writeDurably(note, JSON.stringify({ name }));
  const places = parseSnapshot(await call(deps, 'create', name, sources), sources);
  if (typeof places === 'string') throw doubtful(places);
  for (const mounted of places.values())
    for (const source of sources) await requireApart(deps, source, mounted);
  const pgdata = places.get(origin.server.pgdata) ?? '';
  await writeDurably(note, JSON.stringify({ name, pgdata }));
  await cutLinks(pgdata, origin.server.capabilities.walDirName);
  await clean(pgdata);
  await rewriteMap(origin, pgdata, places);
  await relink(origin, pgdata, places);
  return { ...place, pgdata };
}

/** The data directory of a snapshot that was taken; undefined if there is none. */
export async function snapshotPgdata({ run }: DrillPlace): Promise<string | undefined> {
  const content = await readIfExists(join(run, noteName));
  return content === undefined ? undefined : parseJson(content.toString('utf8'), noteFields).pgdata;
}

/** Does nothing if none was taken. The command must bear it that there is none of that name. */
export async function removeSnapshot(deps: StandbyDeps, { run }: DrillPlace): Promise<void> {
  const note = join(run, noteName);
  const content = await readIfExists(note);
  if (content === undefined) return;
  const { name } = parseJson(content.toString('utf8'), noteFields);
  await call(deps, 'remove', name, []);
  await removeDurably(note);
}
