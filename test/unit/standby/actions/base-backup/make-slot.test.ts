import { expect, test } from 'vitest';
import type { BackupRun } from '../../../../../src/standby/actions/base-backup/results.ts';
import { backupSteps } from '../../../../../src/standby/actions/base-backup/steps.ts';
import { fakeServer } from '../../slot/fake-server.ts';
import { slot, slots } from '../../slot/slots-there.ts';
import { backupFacts } from './facts-kit.ts';

const { name } = slot();
const step = { kind: 'make-slot', name } as const;

/** A run that a signal ends while the server makes the slot. */
function stoppedRun(isThereBefore: boolean, isLost = false) {
  const server = fakeServer('', isThereBefore ? { [name]: false } : {});
  const there = slots(isThereBefore ? { slots: [slot()] } : {});
  const asked = { kind: 'asked', name, host: 'a', port: 5432, isUnlimited: false, there } as const;
  const lost = new AbortController();
  if (isLost) lost.abort();
  const query = async (sql: string) => {
    const rows = await server.query(sql);
    if (sql.includes('pg_create_physical')) throw new Error('stopped');
    return rows;
  };
  const dead = () => Promise.reject(new Error('the session is lost'));
  const primary = {
    query,
    queryAside: server.query,
    queryToUndo: isLost ? dead : server.query,
    lost: lost.signal,
    facts: backupFacts().primary,
  };
  const run = { primary, facts: backupFacts({ slot: asked }), results: {} } as unknown as BackupRun;
  return { run, server };
}

test.each([false, true])(
  'a slot whose making was not seen is dropped, because nothing will name it any more (session lost: %s)',
  async (isLost) => {
    const { run, server } = stoppedRun(false, isLost);
    await expect(backupSteps['make-slot'].run(run, step)).rejects.toThrow('stopped');
    expect([...server.slots.keys()]).toEqual([name]);
    await backupSteps['make-slot'].undo?.(run, step);
    expect([...server.slots.keys()]).toEqual([]);
  },
);

test('one that was there before stays', async () => {
  const { run, server } = stoppedRun(true);
  await backupSteps['make-slot'].undo?.(run, step);
  expect([...server.slots.keys()]).toEqual([name]);
});
