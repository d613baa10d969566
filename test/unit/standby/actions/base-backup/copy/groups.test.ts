import { describe, expect, test } from 'vitest';
import { shareOut, splitAtLinks } from '../../../../../../src/standby/actions/base-backup/copy/groups.ts';
import type { CopyRoot } from '../../../../../../src/standby/actions/base-backup/copy/planned-files.ts';

const megabyte = 1024 * 1024;

function root(name: string, sizes: readonly number[]): CopyRoot {
  const files = sizes.map((size, index) => ({ path: `${name}/${index}`, size, isLink: false }));
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  return {
    kind: 'data',
    name,
    source: `/from/${name}`,
    target: `/to/${name}`,
    directories: [],
    files,
    links: [],
    bytes,
  };
}

const segments = Array.from({ length: 12 }, () => 1024 * megabyte);
const small = Array.from({ length: 30_000 }, () => 8192);

describe('the files of a copy in groups', () => {
  test('are all included, once', () => {
    const plan = { roots: [root('a', [...segments, ...small]), root('b', [5, 6])] };
    const shared = shareOut(plan, 4).flatMap(({ root: { name }, files }) =>
      files.map(({ path }) => `${name} ${path}`),
    );
    const planned = plan.roots.flatMap(({ name, files }) => files.map(({ path }) => `${name} ${path}`));
    expect([...shared].sort()).toEqual([...planned].sort());
  });

  test('spread the segments of a large table over the workers', () => {
    const groups = shareOut({ roots: [root('a', segments)] }, 4);
    expect(groups.length).toBeGreaterThanOrEqual(8);
    expect(Math.max(...groups.map(({ files }) => files.length))).toBeLessThanOrEqual(2);
  });

  test('are combined if they are small, never copied one by one', () => {
    const groups = shareOut({ roots: [root('a', small)] }, 4);
    expect(groups.length).toBeLessThan(40);
    expect(Math.min(...groups.slice(0, -1).map(({ files }) => files.length))).toBeGreaterThan(500);
  });

  test('end with small groups, so that no worker finishes much later than the others', () => {
    const sizes = groupBytes(shareOut({ roots: [root('a', [...segments, ...small])] }, 2));
    expect(sizes.at(-1)).toBeLessThan(64 * megabyte);
    expect(Math.max(...sizes)).toBeGreaterThan(2 * 1024 * megabyte);
  });

  test('begin with two small groups, if there is much to copy', () => {
    const tables = Array.from({ length: 100 }, () => 60 * megabyte);
    expect(groupBytes(shareOut({ roots: [root('a', tables)] }, 2)).slice(0, 2)).toEqual([
      120 * megabyte,
      120 * megabyte,
    ]);
    expect(groupBytes(shareOut({ roots: [root('a', tables.slice(0, 10))] }, 2))[0]).toBe(180 * megabyte);
  });

  test('are one group for each root if there is one worker', () => {
    const plan = { roots: [root('a', segments), root('empty', []), root('b', [5, 6])] };
    expect(shareOut(plan, 1).map(({ root: { name } }) => name)).toEqual(['a', 'b']);
  });

  test('need no more rsyncs because of a linked directory than it needs for itself', () => {
    const plain = root(
      'a',
      Array.from({ length: 8 }, () => 1024 * megabyte),
    );
    const linked = plain.files.map((file) => ({ ...file, path: file.path.replace('a/', 'a/log/') }));
    const links = [{ path: 'a/log', directory: '/disk' }];
    const groups = shareOut({ roots: [{ ...plain, files: [...plain.files, ...linked], links }] }, 4);
    const sources = groups.map(({ root: { source } }) => source);
    expect(sources.lastIndexOf('/from/a') + 1).toBe(sources.indexOf('/disk'));
    expect(sources.length).toBeLessThanOrEqual(16);
  });

  test.each([1, 2, 4])(
    'are so small that comparing each name with all of them is cheap (%i workers)',
    (workers) => {
      const files = Array.from({ length: 35_000 }, (_none, index) => index % 3);
      const counts = shareOut({ roots: [root('a', files)] }, workers).map((group) => group.files.length);
      expect(Math.max(...counts)).toBeLessThanOrEqual(5_000);
      expect(counts.reduce((sum, count) => sum + count, 0)).toBe(35_000);
    },
  );
});

function groupBytes(groups: readonly { readonly bytes: number }[]): number[] {
  return groups.map(({ bytes }) => bytes);
}

test('files behind linked directories are copied from the target of the nearest link', () => {
  const paths = ['PG_VERSION', 'base/1/2', 'base/5/6', 'basement/1'];
  const files = paths.map((path) => ({ path, size: 1, isLink: false }));
  const links = [
    { path: 'base', directory: '/disk' },
    { path: 'base/5', directory: '/other disk' },
  ];
  const groups = splitAtLinks({ root: { ...root('a', []), files, links }, files, bytes: 4 });
  expect(
    groups.map((group) => [group.root.source, group.root.target, group.files.map(({ path }) => path)]),
  ).toEqual([
    ['/from/a', '/to/a', ['PG_VERSION', 'basement/1']],
    ['/other disk', '/to/a/base/5', ['6']],
    ['/disk', '/to/a/base', ['1/2']],
  ]);
});
