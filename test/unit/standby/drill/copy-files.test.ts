import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { StandbyDeps } from '../../../../src/standby/deps.ts';
import { copyTree } from '../../../../src/standby/drill/copy-files.ts';
import { runCommand } from '../../../../src/system/command.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

const megabyte = 1024 * 1024;

/** Copies two portions with a clock that only pauses move. @returns the pauses, in milliseconds */
async function pausesOf(drill_rate: number | undefined, isHurried = false): Promise<readonly number[]> {
  const root = temporaryDirectory();
  const target = join(temporaryDirectory(), 'copy');
  mkdirSync(join(root, 'base'));
  writeFileSync(join(root, 'base', 'small'), 'row');
  writeFileSync(join(root, 'large'), '');
  // A hole: it takes no space, and counts by its size.
  truncateSync(join(root, 'large'), 64 * megabyte);
  const pauses: number[] = [];
  let nowMs = 0;
  const deps = {
    settings: { drill_nice: 0, drill_ionice: 'off', drill_rate },
    run: runCommand,
    signal: new AbortController().signal,
    monotonicMs: () => nowMs,
    pause: (ms: number) => {
      pauses.push(ms);
      nowMs += ms;
      return Promise.resolve();
    },
  } as unknown as StandbyDeps;
  const tree = { root, files: ['large', 'base/small'], directories: ['base'], bytes: 64 * megabyte };
  await copyTree(deps, tree, target, { mayVanish: false, isHurried, limitMs: 60_000 });
  expect(readFileSync(join(target, 'base', 'small'), 'utf8')).toBe('row');
  expect(readFileSync(join(target, 'large')).length).toBe(64 * megabyte);
  return pauses;
}

test('a copy waits after each portion for as long as drill_rate asks', async () => {
  expect((await pausesOf(32 * megabyte)).map(Math.round)).toEqual([2000, 0]);
});

test('a copy waits for nothing without a rate, nor while the standby is stopped for it', async () => {
  expect(await pausesOf(undefined)).toEqual([]);
  expect(await pausesOf(0)).toEqual([]);
  expect(await pausesOf(32 * megabyte, true)).toEqual([]);
});
