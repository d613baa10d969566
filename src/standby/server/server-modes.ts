import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { capabilitiesOf } from '../../postgres/capabilities.ts';
import { findVersion } from '../../postgres/version.ts';
import { readIfExists, writeDurably } from '../../system/durable.ts';
import { chmod, mkdir } from '../../system/files.ts';

/** The modes of the files and directories that a server makes. */
export interface ServerModes {
  readonly file: number;
  readonly directory: number;
}

const ofOwner: ServerModes = { file: 0o600, directory: 0o700 };
const ofGroup: ServerModes = { file: 0o640, directory: 0o750 };

/**
 * From 11 on the mode of the data directory shows whether its group may read its contents (manual, `initdb
 * --allow-group-access`), for example a user who takes backups. The same group may read what we write there.
 */
export async function serverModes(pgdata: string): Promise<ServerModes> {
  // If pgdata does not exist, the write itself reports that.
  const mode = (await stat(pgdata).catch(() => undefined))?.mode ?? 0;
  if ((mode & ofGroup.directory) !== ofGroup.directory) return ofOwner;
  const version = findVersion((await readIfExists(join(pgdata, 'PG_VERSION')))?.toString('utf8') ?? '');
  const isKnown = version === undefined || capabilitiesOf(version).hasGroupAccess;
  return isKnown ? ofGroup : ofOwner;
}

/** Writes a file in pgdata, durably, as the server itself would. */
export async function writeForServer(
  pgdata: string,
  path: string,
  content: string | Uint8Array,
): Promise<void> {
  await writeDurably(path, content, (await serverModes(pgdata)).file);
}

/** Makes a directory in pgdata, and missing ones above it, as the server itself would. An existing directory stays as it is. */
export async function makeForServer(pgdata: string, path: string): Promise<void> {
  const { directory } = await serverModes(pgdata);
  const made = await mkdir(path, { recursive: true, mode: directory });
  // The caller's umask may be stricter.
  if (made !== undefined && directory !== ofOwner.directory) await chmod(path, directory);
}

/** A directory outside pgdata that holds a tablespace: the server gives it this mode when the tablespace is made. */
export async function openToGroup(pgdata: string, path: string): Promise<void> {
  const { directory } = await serverModes(pgdata);
  const { mode } = await stat(path);
  if ((mode & directory) !== directory) await chmod(path, (mode & 0o7777) | directory);
}
