import { expect, test } from 'vitest';
import type { Query } from '../../../../src/standby/primary/session.ts';
import { dropUntouched } from '../../../../src/standby/slot/for-others.ts';

const slotNames = ['made', 'used', 'unknown', 'gone'] as const;

test('slots of a promotion that did not happen are dropped, except those by which a standby has streamed', async () => {
  const there = new Map([
    ['made', '0/3000028'],
    ['used', '0/4000000'],
    ['unknown', '0/3000028'],
  ]);
  const query: Query = (sql) => {
    const [, name = ''] = /slot_name = '(\w+)'/.exec(sql) ?? [];
    const lsn = there.get(name);
    if (!sql.includes('pg_drop_replication_slot')) return Promise.resolve(lsn === undefined ? [] : [[lsn]]);
    if (sql.includes('NOT active') && lsn !== undefined && sql.includes(`= '${lsn}')`)) there.delete(name);
    return Promise.resolve([]);
  };
  const said: string[] = [];
  const log = {
    notice: (text: string) => said.push(text),
    warning: (text: string) => said.push(text),
  };
  const slots = slotNames.map((name) => (name === 'unknown' ? { name } : { name, lsn: '0/3000028' }));
  await dropUntouched({ log } as unknown as Parameters<typeof dropUntouched>[0], query, slots);
  expect([...there.keys()]).toEqual(['used', 'unknown']);
  expect(said).toEqual([
    expect.stringContaining('"made" here is gone'),
    expect.stringContaining('"used" here stays: a standby has streamed'),
    expect.stringContaining('"unknown" here stays: it is not known'),
    expect.stringContaining('"gone" here is gone'),
  ]);
});
