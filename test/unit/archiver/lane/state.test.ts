import { mkdirSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  isResting,
  readLaneState,
  restUntil,
  severityOfHealth,
  withLost,
  writeLaneState,
} from '../../../../src/archiver/lane/state.ts';
import { laneOf } from '../../../../src/archiver/lane/lane.ts';
import { layoutOf } from '../../../../src/archiver/layout.ts';
import type { StandbyTarget } from '../../../../src/config/options-archiver.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

function newLane() {
  const layout = layoutOf(temporaryDirectory());
  mkdirSync(layout.privateDirectory);
  return laneOf(layout, { name: 's1' } as StandbyTarget);
}

describe('the state of a lane', () => {
  test('is kept in a file, and unknown at first', async () => {
    const lane = newLane();
    expect(await readLaneState(lane)).toEqual({ health: 'ok' });
    const state = { health: 'slow', retryAt: 5, said: { severity: 'warning', lastNotified: 1 } } as const;
    await writeLaneState(lane, state);
    expect(await readLaneState(lane)).toEqual(state);
  });

  test.each(['', '{', '[]', '{"reason":"x"}'])(
    'a damaged file (%j) is an error: it may say "abandoned"',
    async (text) => {
      const lane = newLane();
      writeFileSync(lane.stateFile, text);
      await expect(readLaneState(lane)).rejects.toThrow(/cannot understand/);
    },
  );

  test('severity: what gets better by itself is a warning', () => {
    expect(severityOfHealth('ok')).toBe('ok');
    for (const health of ['unreachable', 'behind', 'no-space', 'slow'] as const) {
      expect(severityOfHealth(health)).toBe('warning');
    }
    for (const health of ['conflict', 'foreign', 'promoted', 'unsafe', 'abandoned', 'no-sentinel'] as const) {
      expect(severityOfHealth(health)).toBe('critical');
    }
  });
});

describe('rest', () => {
  test('lasts five times as long as the try took, a minute at most', () => {
    expect(restUntil(1_000, 100, 'unreachable')).toBe(1_500);
    expect(restUntil(1_000, 30_000, 'slow')).toBe(61_000);
    expect(restUntil(1_000, 100, 'conflict')).toBe(61_000);
  });

  test('ends, also when the clock was set back', () => {
    const state = { health: 'unreachable', retryAt: 100_000 } as const;
    expect(isResting(state, 99_999)).toBe(true);
    expect(isResting(state, 100_000)).toBe(false);
    expect(isResting(state, 10_000)).toBe(false);
    expect(isResting({ health: 'ok' }, 0)).toBe(false);
  });
});

test('the lost range grows in both directions and knows timelines', () => {
  const abandoned = { since: 'x', by: 'operator' } as const;
  const first = withLost(abandoned, ['000000010000000000000005', '000000010000000000000003']);
  expect(first).toMatchObject({
    firstLost: '000000010000000000000003',
    lastLost: '000000010000000000000005',
  });
  expect(withLost(first, ['00000002.history'])).toMatchObject({
    firstLost: '000000010000000000000003',
    lastLost: '00000002.history',
  });
  expect(withLost(abandoned, [])).toMatchObject({ firstLost: undefined });
});
