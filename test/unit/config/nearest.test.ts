import { describe, expect, it } from 'vitest';
import { didYouMean, nearestName, typoDistance } from '../../../src/config/nearest.ts';

const known = ['slaves', 'state', 'ssh', 'ssh_timeout', 'rsync_bin', 'rsync_flags', 'pgdata', 'user'];

describe('the nearest known name', () => {
  it.each([
    ['slavs', 'slaves'],
    ['salves', 'slaves'],
    ['slave', 'slaves'],
    ['SSH-Timeout', 'ssh_timeout'],
    ['rsync', 'rsync_bin'],
    ['rsync_flag', 'rsync_flags'],
    ['pg_data', 'pgdata'],
  ])('of %s is %s', (name, nearest) => {
    expect(nearestName(name, known)).toBe(nearest);
  });

  it.each(['replication', 'colour', ''])('does not exist for %j', (name) => {
    expect(nearestName(name, known)).toBeUndefined();
    expect(didYouMean(name, known)).toBe('');
  });
});

describe('the distance of two words', () => {
  it.each([
    ['', '', 0],
    ['same', 'same', 0],
    ['abc', 'abd', 1],
    ['abc', 'acb', 1],
    ['abc', 'abcd', 1],
    ['ab', '', 2],
    ['kitten', 'sitting', 3],
    ['rsync', 'rsync_flags', 2],
  ])('%j and %j is %i', (a, b, distance) => {
    expect(typoDistance(a, b)).toBe(distance);
    expect(typoDistance(b, a)).toBe(distance);
  });
});
