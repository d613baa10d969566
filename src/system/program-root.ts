import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { is, parseJson } from './json.ts';

/**
 * The folder that holds `bin`, `package.json` and the compiled code: the checkout, or the place where a package was
 * installed. We search upwards, because a bundle has fewer folders than the module from which it was made.
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

/** The version in our package.json. */
export function programVersion(): string {
  const text = readFileSync(join(programRoot(), 'package.json'), 'utf8');
  return parseJson(text, { version: is.text }).version;
}
