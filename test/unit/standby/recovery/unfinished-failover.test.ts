import { expect, test } from 'vitest';
import { noStandbyObjections } from '../../../../src/standby/recovery/no-standby.ts';
import { hasUnfinishedFailover } from '../../../../src/standby/recovery/unfinished-failover.ts';
import { controlFile, dataDirectory } from '../standby-facts.ts';

const promotion = { run: 'aa', processes: [] };
const opened = controlFile({ state: 'in-production' });

test('a server that ended right after its promotion has an unfinished failover, although nothing recorded that it opened', () => {
  const of = (changes: Parameters<typeof dataDirectory>[1]) =>
    hasUnfinishedFailover(dataDirectory('15', changes));
  expect(of({ record: { promotion }, control: opened })).toBe(true);
  expect(of({ record: { isFailoverUnfinished: true }, control: opened })).toBe(true);
  expect(of({ record: {}, control: opened })).toBe(false);
  for (const state of ['in-archive-recovery', 'shut-down-in-recovery'] as const)
    expect(of({ record: { promotion }, control: controlFile({ state }) })).toBe(false);
});

test.each([
  [{ promotion }, '-F999'],
  [{ promotion, switchover: { primary: 'a', timeline: 1 } }, '--switchover'],
] as const)('it is no standby, and what finishes it is named: %j', (record, action) => {
  const [objection, ...more] = noStandbyObjections(dataDirectory('15', { record, control: opened }));
  expect(more).toEqual([]);
  expect(objection?.hint).toContain(`${action} starts the server and finishes it`);
});
