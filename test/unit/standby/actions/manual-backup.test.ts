import { expect, test } from 'vitest';
import { planStart, planStop } from '../../../../src/standby/actions/manual-backup.ts';

const own = { label: 'pitrtools here abc', startTime: '2026-01-01' };

test('a backup is started where none is in progress', () => {
  expect(planStart(own.label, undefined)).toEqual([{ kind: 'start', label: own.label }]);
  expect(() => planStart(own.label, own)).toThrow(/in backup mode already: "pitrtools here abc"/);
});

test('a backup of this standby is ended', () => {
  expect(planStop('here', own)).toEqual([{ kind: 'stop', label: own.label }]);
});

test.each(['pgbackrest', 'pitrtools there abc', 'cmd_pg_start_backup', 'pitrtools hereafter abc'])(
  'a foreign backup is not ended: %s',
  (label) => {
    expect(() => planStop('here', { ...own, label })).toThrow(`not of this standby: "${label}"`);
  },
);

test('without a backup there is nothing to end', () => {
  expect(() => planStop('here', undefined)).toThrow('the primary is not in backup mode');
});
