import { describe, expect, test } from 'vitest';
import {
  boundRanges,
  type Holdings,
  planCatchUp,
  rangesOf,
} from '../../../../src/archiver/lane/catch-up-plan.ts';
import { parseHistory } from '../../../../src/postgres/history.ts';
import { parseLsn } from '../../../../src/postgres/lsn.ts';
import { parseWalName, type WalName } from '../../../../src/postgres/wal-name.ts';

const layout = { segmentSize: 16 * 1024 * 1024, walSegmentSkipsFF: false };

function segment(timeline: number, number: number): string {
  const hex = (value: number) => value.toString(16).toUpperCase().padStart(8, '0');
  return `${hex(timeline)}00000000${hex(number)}`;
}

/** Timeline 1 up to segment 5, 2 up to segment 8, then 3, which is at segment 11. */
const history3 = '1\t0/5000060\tno recovery target specified\n2\t0/8000100\tno recovery target specified\n';
const own = {
  timeline: 3,
  histories: new Map([
    [2, parseHistory('1\t0/5000060\tno recovery target specified\n', '00000002.history')],
    [3, parseHistory(history3, '00000003.history')],
  ]),
  layout,
  end: 11,
};

function there(timeline: number, lsn: string, names: readonly string[] = [], rest?: string): Holdings {
  return {
    restartpoint: { timeline, lsn: parseLsn(lsn) },
    names: new Set(names),
    own: new Set(),
    faulty: new Map(),
    incompleteFrom: rest === undefined ? undefined : parseLsn(rest),
  };
}

function lacking(holdings: Holdings, from = '0/0', wal: Parameters<typeof planCatchUp>[0] = own) {
  const plan = planCatchUp(wal, holdings, parseLsn(from));
  if (plan.kind === 'off-path') return plan.reason;
  return plan.files.map(({ name, isOptional }) => (isOptional ? `(${name.text})` : name.text));
}

describe('what a standby lacks', () => {
  test('are the history files first, then the segments along the way, up to the one that is being written', () => {
    expect(lacking(there(1, '0/3000028'))).toEqual([
      '00000002.history',
      '00000003.history',
      segment(1, 3),
      segment(1, 4),
      segment(2, 5),
      segment(2, 6),
      segment(2, 7),
      segment(3, 8),
      segment(3, 9),
      segment(3, 10),
    ]);
  });

  test('is nothing that it has', () => {
    const names = ['00000002.history', '00000003.history', segment(2, 6), segment(3, 8)];
    expect(lacking(there(2, '0/6000000', names))).toEqual([segment(2, 7), segment(3, 9), segment(3, 10)]);
  });

  test('is not needed if its own pg_wal holds it, but is sent if it can be had', () => {
    const names = ['00000002.history', '00000003.history'];
    const holdings = { ...there(2, '0/6000000', names), own: new Set([segment(2, 6), segment(2, 8)]) };
    expect(lacking(holdings)).toEqual([
      `(${segment(2, 6)})`,
      segment(2, 7),
      segment(3, 8),
      segment(3, 9),
      segment(3, 10),
    ]);
  });

  test('is never a segment of an older timeline that reaches past its fork, and having that one does not help', () => {
    const names = ['00000002.history', '00000003.history', segment(1, 5), segment(2, 8)];
    expect(lacking(there(1, '0/5000028', names))).toEqual([
      segment(2, 5),
      segment(2, 6),
      segment(2, 7),
      segment(3, 8),
      segment(3, 9),
      segment(3, 10),
    ]);
  });

  test('a fork on the border of two segments leaves the older timeline what lies before it', () => {
    const histories = new Map([[2, parseHistory('1\t0/5000000\tx\n', '00000002.history')]]);
    const wal = { ...own, timeline: 2, histories, end: 6 };
    expect(lacking(there(1, '0/4000028'), '0/0', wal)).toEqual([
      '00000002.history',
      segment(1, 4),
      segment(2, 5),
    ]);
  });

  test('up to 9.2, where a history file names a segment, either timeline has the one at the fork', () => {
    const old = { segmentSize: layout.segmentSize, walSegmentSkipsFF: true };
    const histories = new Map([[2, parseHistory(`1\t${segment(1, 5)}\tx\n`, '00000002.history')]]);
    const wal = { timeline: 2, histories, layout: old, end: 7 };
    expect(lacking(there(1, '0/5000028', ['00000002.history']), '0/0', wal)).toEqual([
      segment(2, 5),
      segment(2, 6),
    ]);
    expect(lacking(there(1, '0/5000028', ['00000002.history', segment(1, 5)]), '0/0', wal)).toEqual([
      segment(2, 6),
    ]);
  });

  test('of history files, those of timelines that it has left behind are welcome, but not needed', () => {
    expect(lacking(there(3, '0/A000028'))).toEqual([
      '(00000002.history)',
      '(00000003.history)',
      segment(3, 10),
    ]);
  });

  test('another branch with a lower number is offered too: a standby asks for one after the other', () => {
    const histories = new Map([
      [2, parseHistory('1\t0/3000060\tx\n', '00000002.history')],
      [3, parseHistory('1\t0/5000060\tx\n', '00000003.history')],
    ]);
    expect(lacking(there(1, '0/A000028'), '0/0', { ...own, histories })).toMatch(/not part of the history/);
    expect(lacking(there(1, '0/5000028', [segment(3, 5)]), '0/0', { ...own, histories, end: 6 })).toEqual([
      '(00000002.history)',
      '00000003.history',
    ]);
  });

  test('is counted only as far as its answer goes, and from where it was asked', () => {
    const names = ['00000002.history', '00000003.history'];
    expect(lacking(there(1, '0/3000028', names, '0/5000000'))).toEqual([segment(1, 3), segment(1, 4)]);
    expect(lacking(there(1, '0/3000028', names), '0/A000000')).toEqual([segment(3, 10)]);
  });
});

test.each([
  ['a timeline that this server does not know', there(4, '0/9000000')],
  ['the old timeline, past its fork', there(1, '0/5000068')],
  ['the old timeline, segments past its fork', there(1, '0/9000000')],
])('a standby whose restartpoint is on %s gets nothing', (_, holdings) => {
  expect(lacking(holdings)).toMatch(/its restartpoint is at .* not part of the history of timeline 3/);
});

test('a restartpoint exactly at the fork is part of the history', () => {
  expect(lacking(there(1, '0/5000060'))).toContain(segment(2, 5));
});

function parsed(...names: string[]): WalName[] {
  return names.map(parseWalName).filter((name) => name.kind !== 'not-wal');
}

describe('missing files', () => {
  test('make ranges of consecutive segments of a timeline', () => {
    const names = parsed('00000002.history', segment(1, 3), segment(1, 4), segment(2, 5), segment(2, 9));
    expect(rangesOf(names, layout)).toEqual([
      { first: '00000002.history', last: '00000002.history' },
      { first: segment(1, 3), last: segment(1, 4) },
      { first: segment(2, 5), last: segment(2, 5) },
      { first: segment(2, 9), last: segment(2, 9) },
    ]);
  });

  test('are remembered in a few ranges, of which the last one covers the rest', () => {
    const ranges = Array.from({ length: 30 }, (_, index) => ({ first: `a${index}`, last: `b${index}` }));
    const bound = boundRanges(ranges);
    expect(bound).toHaveLength(10);
    expect(bound[8]).toEqual({ first: 'a8', last: 'b8' });
    expect(bound[9]).toEqual({ first: 'a9', last: 'b29' });
    expect(boundRanges(ranges.slice(0, 10))).toEqual(ranges.slice(0, 10));
  });
});
