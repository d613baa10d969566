import { join } from 'node:path';
import { mkdir } from '../../system/files.ts';
import type { StandbyDeps } from '../deps.ts';

/** Makes a new directory in archivedir for WAL that is moved aside, where neither the server nor the archiver looks. */
export async function makeAsideDirectory(
  { now, nonce }: StandbyDeps,
  archivedir: string,
  prefix: string,
): Promise<string> {
  const stamp = new Date(now()).toISOString().replaceAll(/[-:]|\..*/g, '');
  const directory = join(archivedir, `${prefix}${stamp}-${nonce()}`);
  await mkdir(directory, { mode: 0o700 });
  return directory;
}
