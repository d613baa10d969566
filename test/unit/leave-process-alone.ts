import { afterAll, expect, vi } from 'vitest';

// The files of unit tests share processes (vitest.config.ts): one that leaves a process changed would change the tests after it.
const before = state();
afterAll(() => {
  expect(vi.isFakeTimers()).toBe(false);
  expect(state()).toEqual(before);
});

function state() {
  return { directory: process.cwd(), environment: { ...process.env } };
}
