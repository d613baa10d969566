import { describe, expect, test } from 'vitest';
import type { ArchiverDeps } from '../../../../src/archiver/deps.ts';
import { leadershipOf } from '../../../../src/archiver/lane/leadership.ts';
import type { Leadership } from '../../../../src/system/patroni.ts';

const cluster = { systemIdentifier: '7', timeline: 1, isInRecovery: false };
const url = 'http://127.0.0.1:8008';
const gone: Leadership = { kind: 'not-leader', reason: 'it answers 503' };

/** A host whose clock stands still until it is set. */
function hostOf(patroni_url: string | undefined) {
  const clock = { nowMs: 5_000 };
  const deps = { settings: { patroni_url }, monotonicMs: () => clock.nowMs } as unknown as ArchiverDeps;
  return { deps, clock };
}

describe('whether a lane may deliver', () => {
  test.each([
    ['without patroni_url', undefined, cluster],
    ['a server in recovery, which only compares', url, { ...cluster, isInRecovery: true }],
    ['a standby that passes WAL on', url, { ...cluster, relayedFrom: '/archive' }],
  ])('is not asked of Patroni: %s', (_, address, of) => {
    expect(leadershipOf(hostOf(address).deps, of)).toBeUndefined();
  });

  test('is asked again when the last yes is a second old', async () => {
    const { deps, clock } = hostOf(url);
    const answers: Leadership[] = [{ kind: 'leader' }, gone, { kind: 'leader' }];
    const asked: unknown[] = [];
    const mayDeliver = leadershipOf(deps, cluster, (...question) => {
      asked.push(question.slice(0, 2));
      return Promise.resolve(answers.shift() ?? gone);
    });
    expect(await mayDeliver?.()).toBeUndefined();
    clock.nowMs += 900;
    expect(await mayDeliver?.()).toBeUndefined();
    expect(asked).toEqual([[url, '7']]);
    clock.nowMs += 200;
    expect(await mayDeliver?.()).toMatchObject({ kind: 'not-leader', reason: 'it answers 503' });
    // A no is not remembered.
    expect(await mayDeliver?.()).toBeUndefined();
    expect(asked).toHaveLength(3);
  });

  test('counts a yes from when it was asked for', async () => {
    const { deps, clock } = hostOf(url);
    let questions = 0;
    const mayDeliver = leadershipOf(deps, cluster, () => {
      questions += 1;
      clock.nowMs += 1_500;
      return Promise.resolve({ kind: 'leader' });
    });
    await mayDeliver?.();
    await mayDeliver?.();
    expect(questions).toBe(2);
  });
});
