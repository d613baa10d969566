import { describe, expect, test } from 'vitest';
import { lightCompression } from '../../../src/system/rsync.ts';

describe('compression on a fast network', () => {
  test.each([['-z'], ['-az'], ['--compress'], ['-z --bwlimit=2000']])('is made light for %s', (flags) => {
    expect(lightCompression(flags.split(' '))).toEqual(['--compress-level=1']);
  });

  test.each([
    [''],
    ['-W'],
    ['-z --compress-level=9'],
    ['-z --zl 9'],
    ['-z --zc=lz4'],
    ['-z --compress-choice=zlib'],
    ['-z --no-compress'],
    ['-T/var/zoo'],
  ])('stays what the user has chosen with "%s"', (flags) => {
    expect(lightCompression(flags.split(' ').filter(Boolean))).toEqual([]);
  });
});
