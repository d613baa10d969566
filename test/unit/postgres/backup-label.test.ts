import { expect, test } from 'vitest';
import { parseBackupLabel } from '../../../src/postgres/backup-label.ts';
import { segmentName } from '../../../src/postgres/wal-name.ts';

const of84 = `START WAL LOCATION: 1/25000020 (file 000000010000000100000025)
CHECKPOINT LOCATION: 1/25000054
START TIME: 2012-10-16 02:44:37 PDT
LABEL: base_backup
`;

const of18 = `START WAL LOCATION: 0/2000028 (file 000000020000000000000002)
CHECKPOINT LOCATION: 0/2000080
BACKUP METHOD: streamed
BACKUP FROM: primary
START TIME: 2026-11-22 19:24:00 UTC
LABEL: cmd_standby bitarena-clone 4711
START TIMELINE: 2
`;

test('a backup_label of 8.4 is read', () => {
  expect(parseBackupLabel(of84, 'backup_label')).toEqual({
    startLsn: 0x1_2500_0020n,
    startSegment: segmentName(1, 1, 0x25),
    checkpointLsn: 0x1_2500_0054n,
    startTime: '2012-10-16 02:44:37 PDT',
    label: 'base_backup',
    stop: undefined,
  });
});

test('a backup_label of 18 is read', () => {
  expect(parseBackupLabel(of18, 'backup_label')).toMatchObject({
    label: 'cmd_standby bitarena-clone 4711',
    startSegment: segmentName(2, 0, 2),
  });
});

test('a .backup file is read', () => {
  const lines = of18.split('\n');
  lines.splice(1, 0, 'STOP WAL LOCATION: 0/3000100 (file 000000020000000000000003)');
  const text = `${lines.join('\n')}STOP TIME: 2026-11-22 19:25:00 UTC\nSTOP TIMELINE: 2\n`;
  expect(parseBackupLabel(text, 'x.backup').stop).toEqual({
    lsn: 0x3000100n,
    segment: segmentName(2, 0, 3),
    time: '2026-11-22 19:25:00 UTC',
  });
});

test('a label of several lines cannot look like another field', () => {
  const text = of84.replace('base_backup', 'x\nSTART WAL LOCATION: 9/0 (file 000000010000000900000000)');
  expect(parseBackupLabel(text, 'backup_label')).toMatchObject({ startLsn: 0x1_2500_0020n, label: 'x' });
});

test.each([
  ['', /START WAL LOCATION/],
  [of84.replace('START TIME', 'STARTED'), /START TIME/],
  [of84.replace(/^START WAL.*$/m, 'START WAL LOCATION: 1/25000020'), /1\/25000020/],
  [of84.replace('000000010000000100000025', 'nowhere'), /nowhere/],
])('%j is refused as a label', (text, detail) => {
  expect(() => parseBackupLabel(text, '/pgdata/backup_label')).toThrow(
    expect.objectContaining({
      message: '/pgdata/backup_label is not a backup label',
      detail: expect.stringMatching(detail) as string,
    }) as Error,
  );
});
