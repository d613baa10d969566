import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type WalFile, walFileAt } from '../../../src/archiver/wal/wal-file.ts';
import { parseWalName, type WalName } from '../../../src/postgres/wal-name.ts';

export function walName(name: string): WalName {
  const parsed = parseWalName(name);
  if (parsed.kind === 'not-wal') throw new Error(`${name}: ${parsed.reason}`);
  return parsed;
}

/** A file of that name with that content, as the archiver sees it. */
export async function walFile(directory: string, name: string, content: string | Buffer): Promise<WalFile> {
  mkdirSync(directory, { recursive: true });
  const path = join(directory, name);
  writeFileSync(path, content);
  return walFileAt(path, walName(name));
}
