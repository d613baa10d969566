import { expect, test } from 'vitest';
import { planStart, planStop } from '../../../../src/standby/actions/manual-backup.ts';

const own = { label: 'pitrtools here abc', startTime: '2026-01-01' };

test('-A start_basebackup begins a backup if none is in progress', () => {
  expect(planStart(own.label, undefined)).toEqual([{ kind: 'start', label: own.label }]);
  expect(() => planStart(own.label, own)).toThrow(/in backup mode already: "pitrtools here abc"/);
});

test('-A stop_basebackup ends a backup of this standby', () => {
  expect(planStop('here', own)).toEqual([{ kind: 'stop', label: own.label }]);
});

test.each(['pgbackrest', 'pitrtools there abc', 'cmd_pg_start_backup', 'pitrtools hereafter abc'])(
  '-A stop_basebackup does not end a foreign backup: %s',
  (label) => {
    expect(() => planStop('here', { ...own, label })).toThrow(`not begun by this standby: "${label}"`);
  },
);

test('-A stop_basebackup reports if there is no backup to end', () => {
  expect(() => planStop('here', undefined)).toThrow('the primary is not in backup mode');
});
