import { statfs } from 'node:fs/promises';
import { parseDf, type SpaceUse } from './judge.ts';

/** The space of a file system of this host, as df counts it. */
export async function spaceOf(path: string): Promise<SpaceUse> {
  const { bavail, bfree, blocks, bsize, files, ffree } = await statfs(path);
  // The space that only root may use is not there for us.
  return {
    bytes: (blocks - bfree + bavail) * bsize,
    freeBytes: bavail * bsize,
    inodes: files,
    freeInodes: ffree,
  };
}

/** The same of another host, by the lines of its df -Pk and df -Pi; undefined if they are not understood. */
export function spaceIn(space: readonly string[], inodes: readonly string[]): SpaceUse | undefined {
  const blocks = parseDf(space);
  if (blocks === undefined) return undefined;
  const counted = parseDf(inodes) ?? { all: 0, free: 0 };
  return {
    bytes: blocks.all * 1024,
    freeBytes: blocks.free * 1024,
    inodes: counted.all,
    freeInodes: counted.free,
  };
}
