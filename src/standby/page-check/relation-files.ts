import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { append } from '../../lists.ts';
import { systemErrorCode } from '../../system/durable.ts';
import { isServersName } from '../host/tablespaces.ts';
import { readCapabilities, readControlFile } from '../server/data-directory.ts';

/** A file of a relation's fork, as the server names it. */
export interface RelationFile {
  /** Relative to the data directory, through `pg_tblspc` for a tablespace: the same on both hosts. */
  readonly path: string;
  readonly fork: 'main' | 'fsm' | 'vm' | 'init';
  /** 0, or n for a file whose name ends with `.n`. */
  readonly segment: number;
}

const namePattern = /^\d+(?:_(fsm|vm|init))?(?:\.(\d+))?$/;

/** Undefined for files without pages: maps, version files, temporary relations, a DBA's own files. */
export function parseRelationFile(directory: string, name: string): RelationFile | undefined {
  const match = namePattern.exec(name);
  if (match === null) return undefined;
  const fork = (match[1] ?? 'main') as RelationFile['fork'];
  return { path: join(directory, name), fork, segment: Number(match[2] ?? 0) };
}

async function list(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemErrorCode(error) ?? '')) return [];
    throw error;
  }
}

/** The server's own folders below `pg_tblspc`, by the tablespace's oid. */
async function tablespaceFolders(pgdata: string): Promise<ReadonlyMap<string, readonly string[]>> {
  const capabilities = await readCapabilities(pgdata);
  const control = await readControlFile(pgdata);
  const folders = new Map<string, readonly string[]>();
  for (const oid of await list(join(pgdata, 'pg_tblspc'))) {
    const all = await list(join(pgdata, 'pg_tblspc', oid));
    folders.set(
      oid,
      all.filter((folder) => isServersName(capabilities, control, folder)),
    );
  }
  return folders;
}

/**
 * The tablespaces of a copy that have no folder of its server, as paths relative to the data directory. Even an empty tablespace
 * has that folder: perhaps its file system is not mounted.
 */
export async function findAbsentTablespaces(pgdata: string): Promise<readonly string[]> {
  const folders = [...(await tablespaceFolders(pgdata))];
  return folders.flatMap(([oid, found]) =>
    /^\d+$/.test(oid) && found.length === 0 ? [join('pg_tblspc', oid)] : [],
  );
}

/**
 * The directories that hold relations: the shared ones, and one for each database in each tablespace. The directory of a
 * tablespace may have those of another server as well, of another major version.
 */
async function relationDirectories(pgdata: string): Promise<readonly string[]> {
  const directories = ['global'];
  const addDatabases = async (parent: string): Promise<void> => {
    const databases = (await list(join(pgdata, parent))).filter((name) => /^\d+$/.test(name));
    append(
      directories,
      databases.map((name) => join(parent, name)),
    );
  };
  await addDatabases('base');
  for (const [oid, folders] of await tablespaceFolders(pgdata)) {
    for (const folder of folders) await addDatabases(join('pg_tblspc', oid, folder));
  }
  return directories;
}

/** Every file with pages, of the whole copy. */
export async function listRelationFiles(pgdata: string): Promise<readonly RelationFile[]> {
  const files: RelationFile[] = [];
  for (const directory of await relationDirectories(pgdata)) {
    for (const name of await list(join(pgdata, directory))) {
      const file = parseRelationFile(directory, name);
      if (file !== undefined) files.push(file);
    }
  }
  return files;
}
