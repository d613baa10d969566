import { expect, test } from 'vitest';
import { reasonsInControlData } from '../../../../src/standby/rejoin/rewind-ability.ts';

const controlData = (hints: string, checksums: number, wholePages: string) =>
  `Latest checkpoint's full_page_writes: ${wholePages}
wal_log_hints setting:                ${hints}
Data page checksum version:           ${checksums}
`;

test.each([
  ['off', 1, []],
  ['on', 0, []],
  ['on', 3, []],
  ['off', 0, ['neither data checksums nor wal_log_hints']],
  // 19: checksums are being turned off, or on.
  ['off', 2, ['neither data checksums nor wal_log_hints']],
  ['off', 3, ['neither data checksums nor wal_log_hints']],
])(
  'wal_log_hints %s and checksums of version %i: pg_rewind can be used unless %j',
  (hints, checksums, reasons) => {
    const found = reasonsInControlData(controlData(hints, checksums, 'on'));
    expect(found).toHaveLength(reasons.length);
    for (const [index, reason] of reasons.entries()) expect(found[index]).toContain(reason);
  },
);

test('full_page_writes must have been on', () => {
  expect(reasonsInControlData(controlData('on', 1, 'off'))).toEqual(['full_page_writes was off']);
});
