import { chmodSync, mkdirSync, mkdtempSync, rmSync, statfsSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { surveyTarget } from '../../../../../../src/standby/actions/base-backup/copy/local-files.ts';
import type { CopyRoot } from '../../../../../../src/standby/actions/base-backup/copy/planned-files.ts';
import { findLackOfRoom, measureRoom } from '../../../../../../src/standby/actions/base-backup/copy/room.ts';
import { dataRules } from '../../../../../../src/standby/host/copy-rules.ts';

let target = '';
beforeEach(() => {
  target = mkdtempSync(join(tmpdir(), 'local-'));
});
afterEach(() => {
  rmSync(target, { recursive: true, force: true });
});

function fill(path: string, bytes: number): void {
  mkdirSync(dirname(join(target, path)), { recursive: true });
  writeFileSync(join(target, path), Buffer.alloc(bytes, 1));
}

function rootOf(files: Readonly<Record<string, number>>, directories: readonly string[]): CopyRoot {
  const planned = Object.entries(files).map(([path, size]) => ({
    path,
    size,
    isLink: path.startsWith('link'),
  }));
  return {
    kind: 'data',
    name: 'data directory',
    source: '/from',
    target,
    directories: ['', ...directories].map((path) => ({ path, mode: 0o700 })),
    files: planned,
    links: [],
    bytes: planned.reduce((sum, { size }) => sum + size, 0),
  };
}

const survey = (root: CopyRoot) => surveyTarget(root, dataRules([], '/from', []));

describe('an entry in pgdata before the copy', () => {
  test('is superfluous if the primary has none or another kind of entry, unless it is kept', async () => {
    for (const path of [
      'base/1/2',
      'base/1/3',
      'base/9/1',
      'global/pg_control',
      'postgresql.conf',
      'postmaster.pid',
    ])
      fill(path, 10);
    mkdirSync(join(target, 'file'));
    fill('directory', 10);
    symlinkSync('/somewhere', join(target, 'link to file'));
    symlinkSync('/somewhere', join(target, 'base/1/4'));
    const root = rootOf({ 'base/1/2': 10, 'base/1/4': 10, file: 10, 'link to file': 0 }, [
      'base',
      'base/1',
      'directory',
      'global',
    ]);
    const { superfluous } = await survey(root);
    expect([...superfluous].sort()).toEqual([
      'base/1/3',
      'base/1/4',
      'base/9',
      'directory',
      'file',
      'postmaster.pid',
    ]);
  });

  test('counts for the space that is needed, and so does an entry that will be removed', async () => {
    fill('base/1/2', 40_960);
    fill('base/1/3', 8192);
    fill('base/9/1', 81_920);
    chmodSync(join(target, 'base/1/3'), 0o400);
    const found = await survey(
      rootOf({ 'base/1/2': 409_600, 'base/1/3': 4096, 'base/1/4': 1 }, ['base', 'base/1']),
    );
    expect(found.presentBytes).toBe(40_960 + 4096);
    expect(found.unwritable).toEqual(['base/1/3']);
    expect(found.neededBytes).toBe(409_600 - 40_960 + 4096 - 81_920);
  });

  test('does not exist if the directory is missing', async () => {
    rmSync(target, { recursive: true });
    expect(await survey(rootOf({ 'base/1/2': 5000 }, ['base']))).toEqual({
      superfluous: [],
      unwritable: [],
      recent: [],
      presentBytes: 0,
      neededBytes: 8192,
    });
  });
});

describe('the free space', () => {
  test('of one file system is shared by all directories on it, also by missing ones', async () => {
    const [other, needs] = [join(target, 'not', 'there'), 1000];
    const found = await measureRoom([
      { target, neededBytes: needs },
      { target: other, neededBytes: needs },
    ]);
    expect(found).toMatchObject([{ targets: [target, other], neededBytes: 2000 }]);
    expect(found[0]?.freeBytes).toBeLessThanOrEqual(statfsSync(target).blocks * statfsSync(target).bsize);
  });

  test('is reported with both numbers if it is too small', () => {
    const [enough, megabyte] = [{ targets: ['/a'], neededBytes: 5, freeBytes: 5 }, 1024 * 1024];
    const lacking = { targets: ['/b', '/c'], neededBytes: 300 * megabyte, freeBytes: 20.5 * megabyte };
    expect(findLackOfRoom([enough, lacking])).toEqual([
      'the file system of /b, /c has 20.5 MB free, and 300 MB are needed',
    ]);
  });
});
