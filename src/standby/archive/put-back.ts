import { join } from 'node:path';
import { linkDurably } from '../../system/durable.ts';
import { unlink } from '../../system/files.ts';
import { haveSameContent } from '../../system/same-content.ts';

export type Return = 'returned' | 'kept';

/** Puts a file that was moved aside back under its name, never over other bytes: a delivery may have come meanwhile. */
export async function putFileBack(from: string, archivedir: string, name: string): Promise<Return> {
  const to = join(archivedir, name);
  if ((await linkDurably(from, to)) === 'exists' && !(await haveSameContent(from, to))) return 'kept';
  await unlink(from);
  return 'returned';
}
