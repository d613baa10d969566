import { describe, expect, test } from 'vitest';
import { compareLedger, type HeldFile, type Inventory } from '../../../../src/archiver/ledger/judge.ts';
import { firstLsnOf, nameOf } from '../../../../src/postgres/lsn.ts';

const layout = { segmentSize: 1024 * 1024, walSegmentSkipsFF: false };
const place = (number: number, timeline = 1) => nameOf(timeline, number, layout);
const text = (number: number, timeline = 1): string => place(number, timeline).text;
const at = '2026-11-28T10:00:00.000Z';
const range = (first: number, last: number, timeline = 1) => ({
  timeline,
  first,
  last,
  firstAt: at,
  lastAt: at,
  learned: 0,
});
const whole: HeldFile = { size: layout.segmentSize, sha256: undefined };
const holding = (names: readonly string[], more: Partial<Inventory> = {}): Inventory => ({
  restartpoint: firstLsnOf(place(10), layout.segmentSize) + 40n,
  files: new Map(names.map((name) => [name, whole])),
  aside: new Set(),
  left: [],
  ...more,
});
const named = (from: number, to: number, timeline = 1): string[] =>
  Array.from({ length: to - from + 1 }, (_, index) => text(from + index, timeline));

describe('of the delivered segments', () => {
  test('those from the restartpoint on must be there, and nothing else', () => {
    const found = compareLedger([range(1, 20)], holding([...named(10, 20), text(30)]), layout);
    expect(found).toMatchObject({ from: text(10), expected: 11, aside: 0, missing: [], wrongSize: [] });
    expect(found.whole).toHaveLength(11);
  });

  test('exactly those that are not there are missing, as ranges', () => {
    const gone = new Set([text(12), text(13), text(15), text(20)]);
    const there = named(10, 20).filter((name) => !gone.has(name));
    const { missing } = compareLedger([range(1, 20)], holding(there), layout);
    expect(missing).toEqual([
      { first: text(12), last: text(13), segments: 2 },
      { first: text(15), last: text(15), segments: 1 },
      { first: text(20), last: text(20), segments: 1 },
    ]);
  });

  test('one that was never delivered is not missed, and ranges of missing ones do not span it', () => {
    const found = compareLedger([range(1, 12), range(15, 16)], holding(named(10, 11)), layout);
    expect(found.missing).toEqual([
      { first: text(12), last: text(12), segments: 1 },
      { first: text(15), last: text(16), segments: 2 },
    ]);
  });

  test('one of another size is said, and counts as none that is whole', () => {
    const inventory = holding(named(10, 11));
    const files = new Map([...inventory.files, [text(12), { size: 5, sha256: undefined }]]);
    const found = compareLedger([range(10, 12)], { ...inventory, files }, layout);
    expect(found).toMatchObject({ missing: [], wrongSize: [{ name: text(12), size: 5 }] });
    expect(found.whole.map(({ text: name }) => name)).toEqual(named(10, 11));
  });

  test('those that it moved aside, or that a mark forbids, are not missed', () => {
    const left = [{ timeline: 1, lsn: firstLsnOf(place(14), layout.segmentSize) + 5n, by: 'b' }];
    const inventory = holding([...named(10, 13), ...named(14, 16, 2)], { aside: new Set([text(11)]), left });
    const found = compareLedger([range(1, 16), range(14, 16, 2)], inventory, layout);
    expect(found).toMatchObject({ expected: 10, aside: 3, missing: [] });
    const held = [...named(10, 10), ...named(12, 13)];
    expect(
      compareLedger([range(1, 13)], holding(held, { aside: new Set([text(11)]) }), layout),
    ).toMatchObject({ aside: 1, missing: [] });
  });

  test('none is looked for before the restartpoint', () => {
    expect(compareLedger([range(1, 9)], holding([]), layout)).toMatchObject({
      from: undefined,
      expected: 0,
      missing: [],
    });
  });
});
