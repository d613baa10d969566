import { expect, test } from 'vitest';
import { waitUntil } from '../../../../src/standby/server/wait.ts';

/** Its time of day is set forward by 90 s at every look; what passes is the time of the pauses. */
function stepping() {
  let passed = 0;
  const pause = (ms: number) => {
    passed += ms;
    return Promise.resolve();
  };
  const clock = { now: () => passed * 900_000, monotonicMs: () => passed, pause };
  return { deps: { ...clock, signal: new AbortController().signal }, passed: () => passed };
}

test('a limit counts what has passed, whatever is done to the time of day meanwhile', async () => {
  const { deps, passed } = stepping();
  const end = await waitUntil(deps, 60, () => Promise.resolve({ kind: 'waiting', progress: '' }));
  expect(end).toEqual({ kind: 'failed', reason: 'nothing moved for 60 s' });
  expect(passed()).toBe(60_000);
});

test('a limit begins anew with each progress', async () => {
  const { deps, passed } = stepping();
  const look = () =>
    Promise.resolve({ kind: 'waiting', progress: String(Math.min(passed(), 30_000)) } as const);
  await waitUntil(deps, 60, look);
  expect(passed()).toBe(90_000);
});
