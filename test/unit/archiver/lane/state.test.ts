import { mkdirSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { laneOf } from '../../../../src/archiver/lane/lane.ts';
import { readLaneState, severities } from '../../../../src/archiver/lane/state.ts';
import { layoutOf } from '../../../../src/archiver/layout.ts';
import type { StandbyTarget } from '../../../../src/config/options-archiver.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

function newLane() {
  const layout = layoutOf(temporaryDirectory());
  mkdirSync(layout.privateDirectory);
  return laneOf(layout, { name: 's1' } as StandbyTarget);
}

describe('the state of a lane', () => {
  test('is kept in a file, and is unknown at first', async () => {
    const lane = newLane();
    expect(await readLaneState(lane)).toEqual({ health: 'ok' });
    const state = { health: 'slow', retryAt: 5, said: { severity: 'warning', lastNotified: 1 } } as const;
    writeFileSync(lane.stateFile, JSON.stringify(state));
    expect(await readLaneState(lane)).toEqual(state);
  });

  test.each([
    '',
    '{',
    '[]',
    '{"reason":"x"}',
    '{"health":"well"}',
    '{"health":"abandoned","abandoned":{"since":"x"}}',
    '{"health":"slow","seenRequest":1}',
  ])('is an error if its file is damaged (%j), because the standby may be abandoned', async (text) => {
    const lane = newLane();
    writeFileSync(lane.stateFile, text);
    await expect(readLaneState(lane)).rejects.toThrow(/cannot understand/);
  });

  test('is valid with a wrong descriptive field, which counts as absent', async () => {
    const lane = newLane();
    writeFileSync(
      lane.stateFile,
      '{"health":"slow","retryAt":null,"said":"critical","freed":3,"reason":"x"}',
    );
    expect(await readLaneState(lane)).toEqual({ health: 'slow', reason: 'x' });
  });

  test('is a warning if the trouble can end by itself', () => {
    expect(severities.ok).toBe('ok');
    for (const health of ['unreachable', 'behind', 'no-space', 'slow'] as const) {
      expect(severities[health]).toBe('warning');
    }
    for (const health of ['conflict', 'foreign', 'promoted', 'unsafe', 'abandoned', 'no-sentinel'] as const) {
      expect(severities[health]).toBe('critical');
    }
  });
});
