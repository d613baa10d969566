import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { is, parseJson } from './json.ts';
import { programRoot } from './program-root.ts';

/** The version in our package.json. */
export function programVersion(): string {
  const text = readFileSync(join(programRoot(), 'package.json'), 'utf8');
  return parseJson(text, { version: is.text }).version;
}
