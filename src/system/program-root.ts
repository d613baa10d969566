import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * The folder that holds `bin`, `package.json` and the compiled code: the checkout, or where a package was installed. It is looked
 * for upwards, because a bundle lies less deep than the module does that it was made from.
 */
export function programRoot(): string {
  return folderAbove(import.meta.dirname);
}

function folderAbove(folder: string): string {
  if (existsSync(join(folder, 'package.json')) && existsSync(join(folder, 'bin'))) return folder;
  const parent = dirname(folder);
  if (parent === folder) throw new Error(`no package.json and bin above ${import.meta.dirname}`);
  return folderAbove(parent);
}
