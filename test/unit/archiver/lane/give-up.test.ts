import { expect, test } from 'vitest';
import type { LaneState } from '../../../../src/archiver/lane/state.ts';
import { fullnessOf, mayGiveUp } from '../../../../src/archiver/lane/give-up.ts';

const now = 5_000_000;
const clock = { monotonicMs: () => now, moment: () => ({ boot: 'this', ms: now }) };
const timeoutMs = 10_000;

function ago(seconds: number): number {
  return now - seconds * 1000;
}

test.each([
  ['has just become full', 0, 0, false],
  ['is full, and the standby took a file a moment ago', 9, 1, false],
  ['is full, and the standby has been silent for ssh_timeout', 10, 10, true],
  ['has just become full, of a standby that has long been down', 0, 3600, true],
  ['has been full for a minute, though the standby takes files', 60, 1, true],
])('a queue that %s', (_, full, silent, isGivenUp) => {
  const fullness = { fullSinceMs: ago(full), silentSinceMs: ago(silent) };
  expect(mayGiveUp(fullness, now, timeoutMs)).toBe(isGivenUp);
});

test('the state file tells since when there has been trouble', () => {
  const sinceMoment = { boot: 'this', ms: ago(30) };
  const seen = (state: LaneState, gotThrough: boolean) => fullnessOf(clock, state, gotThrough);
  const nothing = { fullSinceMs: now, silentSinceMs: now };
  expect(seen({ health: 'ok', sinceMoment }, false)).toEqual(nothing);
  expect(seen({ health: 'unreachable', sinceMoment }, false)).toEqual({ ...nothing, silentSinceMs: ago(30) });
  expect(seen({ health: 'unsafe', sinceMoment }, true)).toEqual({ ...nothing, fullSinceMs: ago(30) });
  expect(seen({ health: 'unsafe' }, false)).toEqual(nothing);
});

test('what was noted before the host was booted, or by the time of day alone, gives nobody up', () => {
  const sinceMoment = { boot: 'another', ms: 0 };
  const since = '1970-01-01T00:00:00Z';
  for (const state of [{ health: 'unsafe', sinceMoment } as const, { health: 'unsafe', since } as const]) {
    expect(mayGiveUp(fullnessOf(clock, state, false), now, timeoutMs)).toBe(false);
  }
});
