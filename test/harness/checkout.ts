import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Root of the checkout whose programs are tested; `PITRTOOLS_TEST_CHECKOUT` names another one. */
export function checkout(...path: string[]): string {
  return join(process.env['PITRTOOLS_TEST_CHECKOUT'] ?? rootAbove(import.meta.dirname), ...path);
}

/** The demo runs a compiled copy of the harness, which lies deeper. */
function rootAbove(folder: string): string {
  if (existsSync(join(folder, 'bin', 'cmd_archiver'))) return folder;
  const parent = dirname(folder);
  if (parent === folder) throw new Error(`no checkout of pitrtools above ${import.meta.dirname}`);
  return rootAbove(parent);
}
