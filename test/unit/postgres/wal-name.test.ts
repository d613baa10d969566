import { describe, expect, test } from 'vitest';
import {
  compareWalNames,
  historyName,
  parseWalName,
  segmentName,
  timelineOf,
  type WalName,
} from '../../../src/postgres/wal-name.ts';

test('the name of a segment is parsed', () => {
  expect(parseWalName('0000000100000001000000A5')).toEqual({
    kind: 'segment',
    text: '0000000100000001000000A5',
    timeline: 1,
    log: 1,
    seg: 0xa5,
  });
});

test('the name of the last possible segment is parsed', () => {
  expect(parseWalName('FFFFFFFFFFFFFFFF00000FFF')).toMatchObject({
    timeline: 0xffffffff,
    log: 0xffffffff,
    seg: 0xfff,
  });
});

test('the name of a .partial file is parsed', () => {
  expect(parseWalName('000000010000000000000003.partial')).toEqual({
    kind: 'partial',
    text: '000000010000000000000003.partial',
    segment: segmentName(1, 0, 3),
  });
});

test('the name of a .history file is parsed', () => {
  expect(parseWalName('0000000A.history')).toEqual({
    kind: 'history',
    text: '0000000A.history',
    timeline: 10,
  });
  expect(historyName(10)).toEqual(parseWalName('0000000A.history'));
});

test('the name of a .backup file is parsed', () => {
  expect(parseWalName('000000010000000100000025.00000020.backup')).toEqual({
    kind: 'backup',
    text: '000000010000000100000025.00000020.backup',
    segment: segmentName(1, 1, 0x25),
    offset: 0x20,
  });
});

describe('a name is not a WAL name', () => {
  test.each([
    '',
    '00000001000000010000002',
    '0000000100000001000000255',
    '00000001000000010000002G',
    '000000010000000100000025.part',
    '000000010000000100000025.gz',
    '000000010000000100000025.00000020.backup.partial',
    '000000010000000100000025.partial.00000020.backup',
    '000000010000000100000025.0020.backup',
    '0000001.history',
    '000000010000000100000025.history',
    'pg_wal/000000010000000100000025',
    ' 000000010000000100000025',
    '000000010000000100000025\n',
    '../000000010000000100000025',
    '.pitrtools',
    'RECOVERYXLOG',
    'xlogtemp.1234',
  ])('if it is %j', (text) => {
    expect(parseWalName(text)).toMatchObject({ kind: 'not-wal', text, reason: /not the name/ });
  });

  test.each(['0000000a.history', '0000000100000001000000a5', '0000000100000001000000a5.partial'])(
    'if it is %j, because of its lower-case digits',
    (text) => {
      expect(parseWalName(text)).toMatchObject({ kind: 'not-wal', reason: /upper-case/ });
    },
  );

  test.each(['00000000.history', '000000000000000100000025'])(
    'if it is %j, because of its timeline',
    (text) => {
      expect(parseWalName(text)).toMatchObject({ kind: 'not-wal', reason: 'there is no timeline 0' });
    },
  );
});

test('a queue is sorted by timeline, history first, and then by position', () => {
  const inOrder = [
    '000000010000000000000009',
    '00000001000000000000000A',
    '00000001000000000000000A.00000020.backup',
    '00000001000000000000000A.partial',
    '000000010000000100000000',
    '00000002.history',
    '00000002000000000000000A',
    '0000000A.history',
    '0000000A0000000000000001',
  ];
  const names = [...inOrder].reverse().map((text) => parseWalName(text));
  expect(names.sort(compareWalNames).map(({ text }) => text)).toEqual(inOrder);
  expect(compareWalNames(segmentName(1, 0, 1), segmentName(1, 0, 1))).toBe(0);
});

test.each([
  ['0000000300000001000000A5', 3],
  ['0000000300000001000000A5.partial', 3],
  ['0000000300000001000000A5.00000028.backup', 3],
  ['00000003.history', 3],
])('%s belongs to timeline %i', (text, timeline) => {
  expect(timelineOf(parseWalName(text) as WalName)).toBe(timeline);
});
