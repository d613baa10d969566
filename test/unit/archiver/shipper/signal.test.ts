import { afterEach, expect, it, vi } from 'vitest';
import { beatMs, createWakeUp } from '../../../../src/archiver/shipper/signal.ts';

const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6;

afterEach(() => {
  vi.useRealTimers();
});

const never = 1_000_000;

it('a wake-up before the wait is kept once', async () => {
  const wakeUp = createWakeUp();
  wakeUp.wake();
  wakeUp.wake();
  await wakeUp.wait(never);
  let isOver = false;
  const waiting = wakeUp.wait(never).then(() => {
    isOver = true;
  });
  await Promise.resolve();
  expect(isOver).toBe(false);
  wakeUp.wake();
  await waiting;
  expect(isOver).toBe(true);
});

it('a wake-up does not end two waits, and no wait exceeds its time', async () => {
  const wakeUp = createWakeUp();
  const waiting = wakeUp.wait(never);
  wakeUp.wake();
  await waiting;
  await wakeUp.wait(1);
});

it('long waits that begin at different moments end together, none of them late', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'hrtime'] });
  const ends: number[] = [];
  const begin = async (limitMs: number): Promise<void> => {
    const latest = nowMs() + limitMs;
    await createWakeUp().wait(limitMs);
    expect(nowMs()).toBeLessThan(latest + 100);
    ends.push(nowMs());
  };
  const waits: Promise<void>[] = [];
  for (const limitMs of [beatMs, 2 * beatMs, beatMs]) {
    await vi.advanceTimersByTimeAsync(731);
    waits.push(begin(limitMs));
  }
  await vi.advanceTimersByTimeAsync(2 * beatMs);
  await Promise.all(waits);
  expect(ends.map((end) => Math.round(end) % beatMs)).toEqual([0, 0, 0]);
  expect(new Set(ends.map(Math.round)).size).toBeLessThanOrEqual(2);
});

it('a wait after a beat lasts until the next one, also if its timer was a little early', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'hrtime'] });
  await vi.advanceTimersByTimeAsync(2 * beatMs - (nowMs() % beatMs) - 3);
  const began = nowMs();
  const waiting = createWakeUp().wait(beatMs);
  await vi.advanceTimersByTimeAsync(2 * beatMs);
  await waiting;
  let isOver = false;
  void createWakeUp()
    .wait(beatMs)
    .then(() => {
      isOver = true;
    });
  await vi.advanceTimersByTimeAsync(3);
  expect(isOver).toBe(false);
  expect(Math.round(began) % beatMs).toBe(beatMs - 3);
});
