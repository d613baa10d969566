import { expect, test } from 'vitest';
import { lookingAt, waitUntil } from '../../../../src/standby/server/wait.ts';

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

test('a time limit counts the elapsed time, even if the time of day is set meanwhile', async () => {
  const { deps, passed } = stepping();
  const end = await waitUntil(deps, 60, () => Promise.resolve({ kind: 'waiting', progress: '' }));
  expect(end).toEqual({ kind: 'failed', reason: 'nothing moved for 60 s' });
  expect(passed()).toBe(60_000);
});

test('a time limit begins again with each progress', async () => {
  const { deps, passed } = stepping();
  const look = () =>
    Promise.resolve({ kind: 'waiting', progress: String(Math.min(passed(), 30_000)) } as const);
  await waitUntil(deps, 60, look);
  // The last progress is seen by the first look after it.
  expect(passed()).toBeGreaterThanOrEqual(90_000);
  expect(passed()).toBeLessThanOrEqual(91_000);
});

test('checks become less frequent, because a server that is starting logs each of them', async () => {
  const { deps, passed } = stepping();
  const looks: number[] = [];
  await waitUntil(deps, 60, () => {
    looks.push(passed());
    return Promise.resolve({ kind: 'waiting', progress: '' });
  });
  const within = (ms: number) => looks.filter((at) => at <= ms).length;
  // What ends soon is seen soon.
  expect(within(500)).toBeGreaterThanOrEqual(4);
  expect(within(60_000)).toBeLessThan(75);
});

test('looks again as soon as the sign has changed', async () => {
  const { deps, passed } = stepping();
  const looks: number[] = [];
  const sign = () => Promise.resolve(passed() < 250 ? 'starting' : 'ready');
  const look = () => {
    looks.push(passed());
    const isSeen = looks.length > 1 && passed() >= 250;
    return Promise.resolve(isSeen ? done : ({ kind: 'waiting', progress: '' } as const));
  };
  const done = { kind: 'done', value: undefined } as const;
  expect(await waitUntil(deps, 60, look, lookingAt(sign))).toEqual(done);
  expect(looks).toEqual([0, 100, 225, 255]);
});

test('looks soon again for a while where that leaves no trace', async () => {
  const { deps, passed } = stepping();
  const looks: number[] = [];
  await waitUntil(deps, 60, () => {
    looks.push(passed());
    return Promise.resolve({ kind: 'waiting', progress: '', isQuiet: true });
  });
  const within = (ms: number) => looks.filter((at) => at <= ms).length;
  expect(within(1_000)).toBeGreaterThan(40);
  expect(within(60_000) - within(5_000)).toBeLessThan(75);
});
