import { describe, expect, test } from 'vitest';
import { parseHistory } from '../../../../src/postgres/history.ts';
import { segmentName } from '../../../../src/postgres/wal-name.ts';
import { pathOf } from '../../../../src/standby/archive/replay-check.ts';
import { compareSiblings, fetchesOfOthers } from '../../../../src/standby/siblings/compare.ts';
import { withKnown } from '../../../../src/standby/siblings/inform.ts';
import { answering, names, own, sibling } from './sibling-kit.ts';

const fetched = (...given: Parameters<typeof compareSiblings>) =>
  compareSiblings(...given).fetches.map(
    ({ from, directory, name }) => `${from.name}:${directory}/${name.text.slice(-2)}`,
  );

describe('what only other standbys have', () => {
  test('is fetched from where this host replays, without a gap', () => {
    const other = answering('c', { archived: names(4, 5, 6, 7, 9) });
    expect(fetched([other], own([5]))).toEqual(['c:/archive/06', 'c:/archive/07']);
    expect(compareSiblings([other], own([5])).reach).toBe(0x800_0000n);
    expect(fetched([other], own([5, 8]))).toEqual(['c:/archive/06', 'c:/archive/07', 'c:/archive/09']);
  });

  test('may be in a pg_wal, and with several standbys', () => {
    const one = answering('c', { archived: names(5), inPgWal: names(6) });
    const another = answering('d', { archived: names(6, 7) });
    expect(fetched([one, another], own([]))).toEqual(['c:/archive/05', 'c:/data/pg_wal/06', 'd:/archive/07']);
  });

  test('is nothing that this host has, received whole, or must not have', () => {
    const other = answering('c', { archived: names(5, 6, 7) });
    expect(fetched([other], own([5, 6, 7]))).toEqual([]);
    const streamed = own([]);
    const facts = { ...streamed.facts, inPgWal: [segmentName(1, 0, 5), segmentName(1, 0, 6)] };
    // It received into segment 6, which is therefore not whole here.
    expect(fetched([other], { ...streamed, facts, furthest: 0x600_0100n })).toEqual([
      'c:/archive/06',
      'c:/archive/07',
    ]);
    const left = [{ timeline: 1, lsn: 0x600_0028n, by: 'x' }];
    expect(fetched([other], { ...own([]), left })).toEqual(['c:/archive/05']);
  });

  test('is no segment that is whole in pg_wal here, although replay has not come to it', () => {
    const other = answering('c', { archived: names(5, 6, 7, 8) });
    const inPgWal = [segmentName(1, 0, 5), segmentName(1, 0, 6), segmentName(1, 0, 7)];
    const here = { ...own([]), facts: { ...own([]).facts, inPgWal } };
    const lacking = fetchesOfOthers(compareSiblings([other], here), here);
    // The last one may be unfinished here.
    expect(lacking.map(({ name }) => name.text)).toEqual(names(7, 8));
  });

  test('never replaces a segment here, however bad that one is', () => {
    const bad = own([]);
    const segments = [{ name: segmentName(1, 0, 5), fault: 'zeros' }];
    const other = answering('c', { archived: names(5, 6) });
    expect(fetched([other], { ...bad, facts: { ...bad.facts, segments } })).toEqual([]);
  });

  test('is not taken from names and paths that are none', () => {
    const other = answering('c', {
      archived: ['../../etc/passwd', '00000001000000000000000', ...names(5)],
      inPgWal: names(6),
      walDirectory: 'relative',
    });
    expect(fetched([other], own([]))).toEqual(['c:/archive/05']);
  });
});

describe('another standby', () => {
  const standing = (...given: Parameters<typeof answering>) =>
    compareSiblings([answering(...given)], own([5])).compared[0]?.standing;

  test('is ahead by what it has replayed or received beyond the WAL that can be had here', () => {
    expect(standing('c', { replayed: '0/6000100' })).toEqual({
      kind: 'ahead',
      lsn: 0x600_0100n,
      bytes: 0x100n,
    });
    expect(standing('c', { received: '0/6000001', replayed: '0/5000000' })).toMatchObject({ bytes: 1n });
    expect(standing('c', { replayed: '0/6000000' })).toEqual({ kind: 'not-ahead' });
    expect(standing('c', { replayed: '0/6000100', archived: names(6) })).toEqual({ kind: 'not-ahead' });
  });

  test('that is the former primary has received nothing', () => {
    const proved = { timeline: 1, lsn: '0/9000000' };
    expect(standing('a', { server: 'down', isStandby: false, proved })).toEqual({ kind: 'not-ahead' });
    expect(standing('a', { server: 'down', isStandby: true, proved })).toMatchObject({ kind: 'ahead' });
  });

  test('that was promoted, or is on another timeline, is named so', () => {
    expect(standing('c', {}, 2)).toEqual({ kind: 'rival', rivalry: { kind: 'promoted', timeline: 2 } });
    expect(standing('c', { promotedTo: 1 })).toEqual({ kind: 'former-primary', timeline: 1 });
    expect(standing('c', { server: 'production', isStandby: false })).toEqual({
      kind: 'rival',
      rivalry: { kind: 'open', timeline: 1 },
    });
    // WAL from before its promotion is the same.
    const promoted = answering('c', { archived: names(6) }, 2);
    expect(compareSiblings([promoted], own([5])).fetches).toHaveLength(1);
    const proved = { timeline: 3, lsn: '0/6000000' };
    const later = answering('c', { proved, archived: names(6) });
    const { compared, fetches } = compareSiblings([later], own([5]));
    expect(compared[0]?.standing).toEqual({ kind: 'rival', rivalry: { kind: 'follows', timeline: 3 } });
    expect(fetches).toEqual([]);
  });

  test('that has replayed past the place where our history left its timeline has another history', () => {
    const history = parseHistory('1\t0/5000100\tno recovery target specified\n', 'x');
    const path = pathOf(2, new Map([[2, history]]), own([]).facts.layout);
    const ours = { ...own([5]), facts: { ...own([5]).facts, path } };
    const past = answering('c', { proved: { timeline: 1, lsn: '0/5000200' } });
    expect(compareSiblings([past], ours).compared[0]?.standing).toEqual({
      kind: 'other-timeline',
      timeline: 1,
    });
    const before = answering('c', { proved: { timeline: 1, lsn: '0/5000080' } });
    expect(compareSiblings([before], ours).compared[0]?.standing).toEqual({ kind: 'not-ahead' });
  });

  test('that was ahead before the promotion has diverged, if it cannot say so itself', () => {
    const [ahead, level] = [answering('c', { replayed: '0/6000100' }), answering('d')];
    const comparison = compareSiblings([ahead, level], own([5]));
    const informed = { kind: 'informed', standing: 'unknown', moved: 0 } as const;
    expect(withKnown({ ...informed, sibling: ahead }, comparison)).toMatchObject({ standing: 'diverged' });
    expect(withKnown({ ...informed, sibling: level }, comparison)).toMatchObject({ standing: 'unknown' });
    const finishing = { ...comparison, compared: [] };
    expect(withKnown({ ...informed, sibling: ahead }, finishing)).toMatchObject({ standing: 'unknown' });
  });

  test('that did not answer is compared with nothing', () => {
    const silent = sibling('c', { kind: 'silent', reason: 'no route' });
    expect(compareSiblings([silent], own([5]))).toEqual({ fetches: [], reach: 0x600_0000n, compared: [] });
    expect(compareSiblings([answering('c')], undefined).reach).toBeUndefined();
  });
});
