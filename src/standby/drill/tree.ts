/** The files of the standby that a drill copies, by the rules of a base backup. */
import { type Dirent, type Stats, statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, PitrError } from '../../errors.ts';
import { systemErrorCode } from '../../system/durable.ts';
import type { CopyRules } from '../host/copy-rules.ts';

/** Paths are relative to the root. */
export interface Tree {
  readonly root: string;
  readonly files: readonly string[];
  readonly directories: readonly string[];
  /** On the disk. */
  readonly bytes: number;
}

/** A file occupies whole blocks on the disk. */
const blockBytes = 4096;
/** No data directory is that deep: a link leads back to a directory above it. */
const deepest = 40;

interface Found {
  readonly files: string[];
  readonly directories: string[];
  bytes: number;
}

/** A server may remove any file meanwhile. */
export async function entriesOf(directory: string): Promise<readonly Dirent[]> {
  try {
    return await readdir(directory, { withFileTypes: true });
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw new PitrError(`cannot read directory "${directory}"`, { cause: error });
  }
}

/** Undefined if nothing is there any more, or a link leads nowhere: that is so of links in a circle as well. */
function lookAt(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (systemErrorCode(error) === 'ELOOP') return undefined;
    throw new PitrError(`cannot look at "${path}"`, { detail: messageOf(error), cause: error });
  }
}

async function walk(
  root: string,
  rules: Pick<CopyRules, 'isCopied' | 'linksLeftAlone'>,
  path: string,
  found: Found,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  if (path.split('/').length > deepest) throw new PitrError(`"${join(root, path)}" is too deep to be copied`);
  for (const entry of await entriesOf(join(root, path))) {
    const inner = path === '' ? entry.name : `${path}/${entry.name}`;
    if (!rules.isCopied(inner) || (entry.isSymbolicLink() && rules.linksLeftAlone.includes(path))) continue;
    // A link is followed: what it leads to becomes part of the copy.
    const seen = lookAt(join(root, inner));
    if (seen?.isDirectory() === true) {
      found.directories.push(inner);
      await walk(root, rules, inner, found, signal);
    } else if (seen?.isFile() === true) {
      found.files.push(inner);
      found.bytes += Math.ceil(seen.size / blockBytes) * blockBytes;
    }
  }
}

export async function listTree(
  root: string,
  rules: Pick<CopyRules, 'isCopied' | 'linksLeftAlone'>,
  signal: AbortSignal,
): Promise<Tree> {
  const found: Found = { files: [], directories: [], bytes: 0 };
  await walk(root, rules, '', found, signal);
  return { root, ...found };
}
