import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { hasSmallDisks, type SmallDisk, smallDisk } from '../harness/disk.ts';
import { test } from '../harness/test.ts';
import { type FakeCluster, readyCluster } from './archiver-cluster.ts';

const perSecond = 500_000;
const chunk = Buffer.alloc(20_000);

/** Fills the disk at a steady rate by the clock, until nothing fits any more: the moment of that, in milliseconds since 1970. */
async function fillSteadily({ directory }: SmallDisk): Promise<number> {
  const file = openSync(join(directory, 'growing'), 'w');
  const begunMs = performance.now();
  try {
    for (let written = 0; ; written += chunk.length) {
      const dueMs = begunMs + (written / perSecond) * 1000;
      await delay(Math.max(0, dueMs - performance.now()));
      writeSync(file, chunk);
    }
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
    return Date.now();
  } finally {
    closeSync(file);
  }
}

interface Look {
  readonly atMs: number;
  readonly freeBytes: number;
  /** Undefined if it is not known yet. */
  readonly fullInS: number | undefined;
}

async function lookAt(cluster: FakeCluster): Promise<Look> {
  const result = await cluster.run(['--status', '--json']);
  expect(result).toMatchObject({ code: 0 });
  const { at, facts } = JSON.parse(result.stdout) as {
    readonly at: string;
    readonly facts: {
      readonly disks: readonly {
        readonly name: string;
        readonly use: { readonly value: { readonly freeBytes: number } };
        readonly fullInS: { readonly value?: number };
      }[];
    };
  };
  const queues = facts.disks.find(({ name }) => name === 'l_archivedir');
  if (queues === undefined) throw new Error(result.stdout);
  return { atMs: Date.parse(at), freeBytes: queues.use.value.freeBytes, fullInS: queues.fullInS.value };
}

test.skipIf(!hasSmallDisks())(
  'a file system that fills at a steady rate is full when --status has said, within a fifth',
  async ({ world }) => {
    const disk = await smallDisk();
    world.onClose(() => {
      disk.release();
    });
    const place = join(disk.directory, 'l_archive');
    mkdirSync(place);
    const cluster = await readyCluster(world, { slaves: ['s1'], ini: { l_archivedir: place } });
    const whole = 25_000_000;
    disk.fill(whole);
    const full = fillSteadily(disk);
    const looks: Look[] = [];
    for (let free = whole; free > whole / 2; free = looks.at(-1)?.freeBytes ?? 0) {
      looks.push(await lookAt(cluster));
      await delay(1_000);
    }
    const { atMs = 0, fullInS } = looks.at(-1) ?? {};
    if (fullInS === undefined) throw new Error(`no forecast: ${JSON.stringify(looks)}`);
    const leftS = ((await full) - atMs) / 1000;
    expect(fullInS / leftS, JSON.stringify({ looks, leftS })).toBeGreaterThan(0.8);
    expect(fullInS / leftS, JSON.stringify({ looks, leftS })).toBeLessThan(1.2);
  },
);
