import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseHistory } from '../../../../../src/postgres/history.ts';
import { parseWalName } from '../../../../../src/postgres/wal-name.ts';
import { findNotReplayed, seeAllReplayed } from '../../../../../src/standby/actions/failover/all-replayed.ts';
import type { ArchivedEnd } from '../../../../../src/standby/archive/replay-check.ts';
import type { StandbyDeps } from '../../../../../src/standby/deps.ts';
import { serverOf } from '../../../../../src/standby/server/server.ts';
import { dataDirectory } from '../../standby-facts.ts';

/** The archive ends with segment 8. */
function endAt(name: string): ArchivedEnd {
  const last = parseWalName(name);
  if (last.kind !== 'segment') throw new Error(name);
  return { last, segmentSize: 16 * 1024 * 1024 };
}
const end = endAt('000000010000000000000008');

function openedWith(history: string, of = end, skipsFF = false) {
  return findNotReplayed(of, parseHistory(history, 'x'), skipsFF);
}

describe('archived segments that an opened server has not replayed', () => {
  test.each([
    [
      'a part of the last segment: its last record continues in one that was never archived',
      '1\t0/8FFFF00\tx',
    ],
    ['its first record only', '1\t0/8000060\tx'],
    ['the last segment to its end: it was switched', '1\t0/9000000\tx'],
    ['more than was archived, by streaming', '1\t0/9000400\tx'],
    ['up to 9.2, where the history names a segment', '1\t000000010000000000000008\tx'],
    ['a timeline that came meanwhile, and left this one before', '1\t0/5000100\tx\n2\t0/6000100\tx'],
    ['nothing that a history shows', ''],
  ])('do not exist if it has replayed %s', (_, history) => {
    expect(openedWith(history)).toBeUndefined();
  });

  test.each([
    [
      'at the end of a segment that was switched',
      '1\t0/7000000\tx',
      '000000010000000000000007',
      2,
      'LSN 0/7000000',
    ],
    ['in the middle of one', '1\t0/6000100\tx', '000000010000000000000007', 2, 'LSN 0/6000100'],
    ['just before the last', '1\t0/8000000\tx', '000000010000000000000008', 1, 'LSN 0/8000000'],
    [
      'up to 9.2',
      '1\t000000010000000000000006\tx',
      '000000010000000000000007',
      2,
      'segment 000000010000000000000006',
    ],
  ])('are reported if it opened %s', (_, history, first, count, openedAt) => {
    expect(openedWith(history)).toEqual({ first, last: end.last.text, count, openedAt });
  });

  test('are reported if it did not follow the archive to a newer timeline', () => {
    const second = endAt('000000020000000000000008');
    expect(openedWith('1\t0/6000100\tx', second)?.count).toBe(2);
    expect(openedWith('1\t0/6000100\tx\n2\t0/8000100\tx', second)).toBeUndefined();
  });

  test('are counted without the segments that 9.2 does not have', () => {
    const behind = endAt('000000010000000100000000');
    expect(openedWith('1\t0000000100000000000000FE\tx', behind, true)?.count).toBe(1);
  });
});

describe('after the opening of the server', () => {
  let pgdata: string;
  beforeEach(() => {
    pgdata = mkdtempSync(join(tmpdir(), 'pitrtools-unit-'));
    mkdirSync(join(pgdata, 'pg_wal'));
  });
  afterEach(() => {
    rmSync(pgdata, { recursive: true });
  });

  const warnings: string[] = [];
  function see(timeline: number, isAccepted: boolean, calledAs?: '--drill') {
    const deps = {
      calledAs,
      settings: { archivedir: '/a', pgdata },
      log: { warning: (line: string) => warnings.push(line) },
    } as unknown as StandbyDeps;
    return seeAllReplayed(serverOf(deps, dataDirectory('15').capabilities), end, timeline, isAccepted);
  }

  test('-F999 fails if it opened too early, and warns an operator who continues with --force', async () => {
    writeFileSync(join(pgdata, 'pg_wal', '00000002.history'), '1\t0/7000000\tno recovery target specified\n');
    await expect(see(2, false)).rejects.toMatchObject({
      message:
        'the server opened before the end of the archive: segments 000000010000000000000007 to 000000010000000000000008 (2) were not replayed',
      detail: expect.stringContaining('open on timeline 2, which begins at LSN 0/7000000') as string,
      hint: expect.stringMatching(/keep "\/a".*another standby.*-F999 --force/) as string,
    });
    expect(await see(2, true)).toMatchObject({ kind: 'missed' });
    expect(warnings.splice(0)).toEqual([expect.stringContaining('(2) were not replayed; continuing anyway')]);
  });

  test('a drill whose copy opened too early offers no --force, because it takes none', async () => {
    writeFileSync(join(pgdata, 'pg_wal', '00000002.history'), '1\t0/7000000\tno recovery target specified\n');
    await expect(see(2, false, '--drill')).rejects.toMatchObject({
      hint: expect.not.stringContaining('--force') as string,
    });
  });

  test('all WAL counts as replayed if the new timeline begins after the end of the archive', async () => {
    writeFileSync(join(pgdata, 'pg_wal', '00000002.history'), '1\t0/9000000\tx\n');
    expect(await see(2, false)).toMatchObject({ kind: 'reached' });
    expect(warnings).toEqual([]);
  });

  test('the result is unknown if no timeline began, or one that does not lead through the last segment', async () => {
    const history = '1\t0/3000100\tx\n2\t0/9000000\tx\n';
    writeFileSync(join(pgdata, 'pg_wal', '00000003.history'), history);
    for (const timeline of [1, 3]) expect(await see(timeline, false)).toBeUndefined();
    expect(warnings.splice(0)).toEqual([
      expect.stringContaining('the server continues on timeline 1'),
      expect.stringContaining('timeline 3 does not lead through 000000010000000000000008'),
    ]);
  });

  test('a history file that is missing or unreadable does not fail a failover, and the result is unknown', async () => {
    writeFileSync(join(pgdata, 'pg_wal', '00000002.history'), 'nonsense\n');
    expect(await see(2, false)).toBeUndefined();
    expect(await see(3, false)).toBeUndefined();
    expect(warnings.splice(0)).toEqual([
      expect.stringContaining('cannot determine whether all archived WAL'),
      expect.stringContaining('there is no 00000003.history in pg_wal'),
    ]);
  });
});
