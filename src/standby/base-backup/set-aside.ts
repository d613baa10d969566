import { mkdir, rename, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { WalName } from '../../postgres/wal-name.ts';
import { fsyncPath } from '../../system/durable.ts';
import type { BackupContext } from './context.ts';

/** Moves files out of the server's and the archiver's sight without removing them; returns where they are now. */
export async function setAside({ deps, facts }: BackupContext, names: readonly WalName[]): Promise<string> {
  const { archivedir } = facts.place;
  const stamp = deps
    .now()
    .toISOString()
    .replaceAll(/[-:]|\..*/g, '');
  const directory = join(archivedir, `.aside-${stamp}-${deps.nonce()}`);
  await mkdir(directory, { mode: 0o700 });
  for (const { name } of names) await rename(join(archivedir, name), join(directory, name));
  await fsyncPath(directory);
  await fsyncPath(archivedir);
  deps.log.notice(`moved ${names.length} WAL files of another history to ${directory}`);
  return directory;
}

export async function putBack(
  { facts }: BackupContext,
  names: readonly WalName[],
  directory: string,
): Promise<void> {
  const { archivedir } = facts.place;
  for (const { name } of names) await rename(join(directory, name), join(archivedir, name));
  await rmdir(directory);
  await fsyncPath(archivedir);
}
