import { describe, expect, test } from 'vitest';
import {
  type Compression,
  compressionChoice,
  compressionFlags,
} from '../../../../../../src/standby/actions/base-backup/copy/compression.ts';
import type { RsyncAbility } from '../../../../../../src/standby/actions/base-backup/copy/rsync-ability.ts';

const megabyte = 1024 * 1024;

const able = (flags: readonly string[], more: Partial<RsyncAbility> = {}): RsyncAbility => ({
  program: { rsync: { program: 'rsync', args: [] }, flags, version: 3 },
  comparesNanoseconds: true,
  hasProgress: true,
  bothHaveZstd: true,
  bothHaveLz4: true,
  ...more,
});

/** The compressions of further groups, after one group was copied by each of them at these speeds. */
function after(zstd: number, lz4: number): readonly (Compression | undefined)[] {
  const choice = compressionChoice(able(['-z']), false);
  expect([choice.next(), choice.next()]).toEqual(['zstd', 'lz4']);
  choice.note('zstd', 100 * megabyte, (100 * megabyte) / zstd);
  choice.note('lz4', 100 * megabyte, (100 * megabyte) / lz4);
  const chosen = choice.next();
  // Other files, of which nothing can be concluded.
  choice.note(chosen, 1000 * megabyte, 1e9);
  return [chosen, choice.next()];
}

describe('a copy is compressed', () => {
  test('by lz4, unless that is clearly slower, because the network takes the time', () => {
    expect(after(100_000, 150_000)).toEqual(['lz4', 'lz4']);
    expect(after(100_000, 90_000)).toEqual(['lz4', 'lz4']);
    expect(after(100_000, 80_000)).toEqual(['zstd', 'zstd']);
    expect(after(100_000, 40_000)).toEqual(['zstd', 'zstd']);
  });

  test('by the one that has ended while the other is still being measured', () => {
    const fast = compressionChoice(able(['-z']), false);
    expect([fast.next(), fast.next(), fast.next()]).toEqual(['zstd', 'lz4', 'zstd']);
    fast.note('lz4', 100 * megabyte, 500);
    expect(fast.next()).toBe('lz4');
    fast.note('zstd', 100 * megabyte, 300);
    expect(fast.next()).toBe('zstd');
  });

  test('by zstd as long as little was copied, as when a backup is repeated', () => {
    const choice = compressionChoice(able(['-z']), false);
    expect([choice.next(), choice.next()]).toEqual(['zstd', 'lz4']);
    choice.note('zstd', megabyte, 100);
    choice.note('lz4', megabyte, 10);
    expect(choice.next()).toBe('zstd');
  });

  test('by zstd alone with a limit of the bandwidth, or where an rsync has no lz4', () => {
    const limited = compressionChoice(able(['-z']), true);
    expect([limited.next(), limited.next()]).toEqual(['zstd', 'zstd']);
    const without = compressionChoice(able(['-z'], { bothHaveLz4: false }), false);
    expect([without.next(), without.next()]).toEqual(['zstd', 'zstd']);
  });

  test.each<[string, RsyncAbility]>([
    ['not at all without -z', able([])],
    ['as the user says', able(['-z', '--compress-choice=zlib'])],
    ['at the level that the user says', able(['-z', '--compress-level=9'])],
    ['by what old rsyncs have', able(['-z'], { bothHaveZstd: false, bothHaveLz4: false })],
  ])('%s', (_, ability) => {
    const choice = compressionChoice(ability, false);
    expect([choice.next(), choice.next()]).toEqual([undefined, undefined]);
  });

  test('by the flags of rsync for it', () => {
    expect(compressionFlags('zstd')).toEqual(['--compress-choice=zstd', '--compress-level=1']);
    expect(compressionFlags('lz4')).toEqual(['--compress-choice=lz4']);
    expect(compressionFlags(undefined)).toEqual([]);
  });
});
