import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseHistory } from '../../../../src/postgres/history.ts';
import { nameOf, segmentNumber } from '../../../../src/postgres/lsn.ts';
import { pathTo } from '../../../../src/postgres/timelines.ts';
import { boundSegments, readInTime } from '../../../../src/standby/archive/holdings.ts';
import { describeMissing } from '../../../../src/standby/archive/missing.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

const layout = { segmentSize: 16 * 1024 * 1024, walSegmentSkipsFF: false };
const histories = new Map([[2, parseHistory('1\t0/5000060\tx\n', '00000002.history')]]);
const path = pathTo(2, histories, layout);
const segment = (timeline: number, number: number) => nameOf(timeline, number, layout);

function missing(archived: readonly [number, number][], inPgWal: readonly [number, number][], from: number) {
  const segments = archived.map(([timeline, number]) => ({
    name: segment(timeline, number),
    bytes: layout.segmentSize,
    fault: undefined,
  }));
  const local = inPgWal.map(([timeline, number]) => segment(timeline, number));
  return describeMissing({ segments, inPgWal: local, layout }, path, from);
}

test('a standby lacks what is not here although later WAL along the way is', () => {
  expect(
    missing(
      [
        [1, 3],
        [1, 4],
        [2, 5],
        [2, 9],
      ],
      [],
      3,
    ),
  ).toBe(`${segment(2, 6).text} to ${segment(2, 8).text}`);
  expect(missing([[2, 6]], [], 4)).toBe(`${segment(1, 4).text} to ${segment(2, 5).text}`);
  expect(
    missing(
      [
        [1, 3],
        [2, 5],
      ],
      [],
      3,
    ),
  ).toBe(segment(1, 4).text);
});

test('what it has streamed, what lies before its restartpoint, and what is yet to come are no holes', () => {
  expect(
    missing(
      [
        [1, 3],
        [2, 6],
      ],
      [
        [1, 4],
        [2, 5],
      ],
      3,
    ),
  ).toBeUndefined();
  expect(
    missing(
      [
        [1, 1],
        [2, 6],
        [2, 7],
      ],
      [],
      6,
    ),
  ).toBeUndefined();
  expect(missing([[1, 3]], [], 4)).toBeUndefined();
});

test('the old timeline past its fork fills no hole', () => {
  expect(
    missing(
      [
        [1, 4],
        [1, 5],
        [1, 6],
        [2, 7],
      ],
      [],
      4,
    ),
  ).toBe(segment(2, 6).text);
});

test('an answer names a limited number of segments, and where it ends', () => {
  const names = [segment(2, 5), segment(1, 4), segment(1, 5), segment(1, 2), segment(2, 6)];
  const texts = (most: number) => {
    const { names: bounded, incompleteFrom } = boundSegments(names, 3, layout, most);
    return [bounded.map(({ text }) => text), incompleteFrom];
  };
  expect(texts(4)).toEqual([
    [segment(1, 4), segment(1, 5), segment(2, 5), segment(2, 6)].map(({ text }) => text),
    undefined,
  ]);
  // Segments of one number are named together or not at all.
  expect(texts(2)).toEqual([[segment(1, 4).text], segmentNumber(segment(1, 5), layout)]);
  expect(texts(3)).toEqual([[segment(1, 4), segment(1, 5), segment(2, 5)].map(({ text }) => text), 6]);
});

test('an answer ends early where reading takes too long, but never where it began', async () => {
  const directory = temporaryDirectory();
  // As many timelines of one number as are read at once, and more.
  const early = Array.from({ length: 40 }, (_, index) => segment(index + 1, 3));
  const late = Array.from({ length: 60 }, (_, index) => segment(1, index + 4));
  const names = [...early, ...late];
  for (const { text } of names) writeFileSync(join(directory, text), '');
  const read = async (isInTime: () => boolean) => {
    const bounded = { names, incompleteFrom: 500 };
    const { starts, incompleteFrom } = await readInTime(directory, bounded, layout, isInTime);
    return { starts: starts.map(({ name }) => name.text), incompleteFrom };
  };
  const texts = names.map(({ text }) => text);
  expect(await read(() => true)).toEqual({ starts: texts, incompleteFrom: 500 });
  expect(await read(() => false)).toEqual({ starts: texts.slice(0, 64), incompleteFrom: 28 });
  const splitAtFirst = [...early.slice(0, 31), segment(1, 4), segment(2, 4)];
  const bounded = { names: splitAtFirst, incompleteFrom: undefined };
  const { starts, incompleteFrom } = await readInTime(directory, bounded, layout, () => false);
  expect(starts.map(({ name }) => name.text)).toEqual(early.slice(0, 31).map(({ text }) => text));
  expect(incompleteFrom).toBe(4);
});
