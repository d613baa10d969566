import { closeSync, openSync, readdirSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { removeTree } from './remove-tree.ts';

/** A small file system of its own, for tests that fill it. */
export interface SmallDisk {
  readonly directory: string;
  freeBytes(): number;
  /** Writes a file that leaves only so much. */
  fill(leaveBytes?: number): void;
  /** Removes that file. */
  relieve(): void;
  release(): void;
}

const filler = '.filler';

/** `scripts/test` mounts them where it may; without them such a test is skipped. */
export function hasSmallDisks(): boolean {
  return disks().length > 0;
}

function disks(): string[] {
  return (process.env['PITRTOOLS_TEST_DISKS'] ?? '').split(':').filter((directory) => directory !== '');
}

/** Takes an empty disk of 48 MB that no other test of this run has. */
export async function smallDisk(): Promise<SmallDisk> {
  for (const directory of disks()) {
    const claim = await claimed(directory);
    if (claim !== undefined) return emptyDisk(directory, claim);
  }
  throw new Error('all small disks are taken');
}

function emptyDisk(directory: string, claim: Server): SmallDisk {
  clear(directory);
  return {
    directory,
    freeBytes: () => freeBytes(directory),
    fill: (leaveBytes = 0) => {
      fill(directory, leaveBytes);
    },
    relieve: () => {
      rmSync(join(directory, filler), { force: true });
    },
    release: () => {
      clear(directory);
      claim.close();
    },
  };
}

function freeBytes(directory: string): number {
  const { bavail, bsize } = statfsSync(directory);
  return bavail * bsize;
}

function fill(directory: string, leaveBytes: number): void {
  const file = openSync(join(directory, filler), 'w');
  const chunk = Buffer.alloc(4096);
  try {
    while (freeBytes(directory) >= leaveBytes + chunk.length) writeSync(file, chunk);
  } finally {
    closeSync(file);
  }
}

function clear(directory: string): void {
  for (const name of readdirSync(directory)) removeTree(join(directory, name));
}

/** A socket in the abstract namespace, which goes when we do, says that the disk is taken. */
function claimed(directory: string): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => {
      resolve(undefined);
    });
    server.listen({ path: `\0pitrtools-test-disk-${directory}` }, () => {
      resolve(server.unref());
    });
  });
}
