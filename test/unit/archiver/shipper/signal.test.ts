import { expect, it } from 'vitest';
import { createWakeUp } from '../../../../src/archiver/shipper/signal.ts';

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
