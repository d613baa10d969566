import { expect, test } from 'vitest';
import { fullnessOf, mayGiveUp } from '../../../src/archiver/give-up.ts';

const now = Date.parse('2026-05-01T12:00:00Z');
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

test('a clock that was set back gives nobody up', () => {
  expect(mayGiveUp({ fullSinceMs: ago(-3600), silentSinceMs: ago(-3600) }, now, timeoutMs)).toBe(false);
});

test('the state file tells since when there has been trouble', () => {
  const since = new Date(ago(30)).toISOString();
  expect(fullnessOf({ health: 'ok', since }, false, now)).toEqual({ fullSinceMs: now, silentSinceMs: now });
  expect(fullnessOf({ health: 'unreachable', since }, false, now)).toEqual({
    fullSinceMs: now,
    silentSinceMs: ago(30),
  });
  expect(fullnessOf({ health: 'unsafe', since }, true, now)).toEqual({
    fullSinceMs: ago(30),
    silentSinceMs: now,
  });
  expect(fullnessOf({ health: 'unsafe' }, false, now)).toEqual({ fullSinceMs: now, silentSinceMs: now });
});
