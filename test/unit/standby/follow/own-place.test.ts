import { describe, expect, test } from 'vitest';
import { placeOfCopy } from '../../../../src/standby/follow/own-place.ts';
import type { BackupRecord } from '../../../../src/standby/host/backup-record/record.ts';
import { controlFile, label } from '../standby-facts.ts';

const backup: BackupRecord = {
  status: 'complete',
  label: 'x',
  systemIdentifier: '1',
  primaryPgdata: '/p',
  timeline: 1,
  segmentSize: 16 * 1024 * 1024,
  startLsn: '0/3000028',
  startSegment: '000000010000000000000003',
  startTime: '2024-01-01T00:00:00Z',
  stopLsn: '0/3000100',
  timeZone: 'UTC',
};
const progress = {
  checkpointTime: 0n,
  minRecoveryLsn: 0x9000100n,
  minRecoveryTimeline: 5,
  endedBeforeXid: 0,
};
const rewound = controlFile({ timeline: 5, redoLsn: 0x8000028n, progress });
const ofPrimary = controlFile({ state: 'in-production' });

describe('the place that recovery must reach', () => {
  test('is the end of the base backup, if the label is of that backup', () => {
    const place = placeOfCopy(label, { control: ofPrimary, record: { backup } });
    expect(place).toEqual({ timeline: 1, lsn: 0x3000100n });
  });

  test('is that of pg_control after pg_rewind, which leaves the record of an earlier backup', () => {
    const earlier = { ...backup, startLsn: '0/2000028', stopLsn: '0/2000100' };
    for (const record of [{ backup: earlier }, {}])
      expect(placeOfCopy(label, { control: rewound, record })).toEqual({ timeline: 5, lsn: 0x9000100n });
  });

  test('is the start of a backup whose end is not known', () => {
    expect(placeOfCopy(label, { control: ofPrimary, record: {} })).toEqual({ timeline: 1, lsn: 0x3000028n });
  });
});
