import { expect, test } from 'vitest';
import { observeForTarget } from '../../../../../../src/standby/actions/failover/point-in-time/facts.ts';
import type { StandbyDeps } from '../../../../../../src/standby/deps.ts';
import type { RequestedTarget } from '../../../../../../src/standby/recovery/requested-target.ts';
import { localFacts, place } from '../../../standby-facts.ts';

const deps = {
  settings: { archivedir: '/a', use_streaming_replication: true },
  now: () => 0,
} as unknown as StandbyDeps;
const requested: RequestedTarget = {
  goal: { kind: 'name', name: 'x' },
  exclusive: false,
  timeline: 'latest',
  action: 'pause',
};

test.each([
  ['none', false],
  ["the user's own, which a stopped server, or one that recovers to a target, does not show", true],
])('the delay of a standby: %s', async (_, ownDelay) => {
  const here = localFacts('15', {
    state: { kind: 'stopped' },
    archive: { kind: 'unusable', reason: 'x' },
    place: { ...place, ownDelay },
  });
  const { isDelayed, isStreaming } = await observeForTarget(deps, here, requested);
  expect({ isDelayed, isStreaming }).toEqual({ isDelayed: ownDelay, isStreaming: true });
});
