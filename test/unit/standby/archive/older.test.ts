import { describe, expect, test } from 'vitest';
import { parseHistory } from '../../../../src/postgres/history.ts';
import { parseWalName, type SegmentName, type WalName } from '../../../../src/postgres/wal-name.ts';
import { olderInHistory, olderThan } from '../../../../src/standby/archive/older.ts';

const layout = { segmentSize: 16 * 1024 * 1024, walSegmentSkipsFF: false };

function name(timeline: number, segment: number, suffix = ''): WalName {
  const hex = (number: number) => number.toString(16).toUpperCase().padStart(8, '0');
  const parsed = parseWalName(`${hex(timeline)}${hex(0)}${hex(segment)}${suffix}`);
  if (parsed.kind === 'not-wal') throw new Error(`${String(timeline)} ${String(segment)}`);
  return parsed;
}

const needed = name(3, 9) as SegmentName;
const names = (files: readonly WalName[]) => files.map((file) => file.text);

describe('WAL that is older than a backup', () => {
  const files = [
    name(1, 2),
    name(1, 5),
    name(1, 6),
    name(2, 8),
    name(3, 8, '.00000028.backup'),
    name(3, 8),
    name(3, 9),
    name(4, 1),
    parseWalName('00000003.history') as WalName,
  ];

  test('has a lower number, on the same timeline or an earlier one, and is never a history file', () => {
    expect(names(olderThan(files, needed, layout))).toEqual(names(files.slice(0, 6)));
  });

  test('includes an earlier timeline only up to the point where the history left it', () => {
    const ancestors = parseHistory('1\t0/5000060\tx\n2\t0/8000000\tx\n', '00000003.history');
    expect(names(olderInHistory(files, needed, ancestors, layout))).toEqual([
      ...names(files.slice(0, 2)),
      ...names(files.slice(4, 6)),
    ]);
    expect(names(olderInHistory(files, needed, [], layout))).toEqual(names(files.slice(4, 6)));
  });
});
