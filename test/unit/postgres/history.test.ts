import { expect, test } from 'vitest';
import { ancestorsIn, parseHistory } from '../../../src/postgres/history.ts';
import { segmentName } from '../../../src/postgres/wal-name.ts';

test('a history file of 9.3 and later contains locations', () => {
  const text =
    '1\t0/3000148\tno recovery target specified\n\n2\t0/50000A0\tbefore 2026-11-22 19:24:00.5+00\n';
  const entries = parseHistory(text, '00000003.history');
  expect(entries).toEqual([
    { timeline: 1, end: { kind: 'lsn', lsn: 0x3000148n } },
    { timeline: 2, end: { kind: 'lsn', lsn: 0x50000a0n } },
  ]);
  expect(ancestorsIn(entries)).toEqual(new Set([1, 2]));
});

test('a history file of 8.4 to 9.2 contains segments', () => {
  const text =
    '# made by hand\n1\t000000010000000100000026\tno transaction 0 at 2012-10-16 02:55:07.387709-07\n';
  expect(parseHistory(text, '00000002.history')).toEqual([
    {
      timeline: 1,
      end: { kind: 'segment', segment: segmentName(1, 1, 0x26) },
    },
  ]);
});

test('the reason in a history file can be missing, and so can all lines', () => {
  expect(parseHistory('1 0/3000148', '00000002.history')).toEqual([
    { timeline: 1, end: { kind: 'lsn', lsn: 0x3000148n } },
  ]);
  expect(parseHistory('', '00000002.history')).toEqual([]);
});

test.each([
  ['one\t0/3000148\tno recovery target', /one/],
  ['1', /^1$/],
  ['1\tnowhere\tno recovery target', /nowhere/],
  ['2\t0/3000148\ta\n1\t0/4000148\tb', /timeline 1 follows timeline 2/],
])('%j is refused as a history file', (text, detail) => {
  expect(() => parseHistory(text, '00000002.history')).toThrow(
    expect.objectContaining({
      message: 'timeline history file 00000002.history cannot be read',
      detail: expect.stringMatching(detail) as string,
    }) as Error,
  );
});
