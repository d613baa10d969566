import { describe, expect, test } from 'vitest';
import type { FailoverFacts } from '../../../../../../src/standby/actions/failover/facts.ts';
import { refuseIfLeft } from '../../../../../../src/standby/actions/failover/rivals.ts';
import type {
  PrimaryFacts,
  SwitchoverFacts,
} from '../../../../../../src/standby/actions/failover/switchover/facts.ts';
import { requireFork } from '../../../../../../src/standby/actions/failover/switchover/fork.ts';
import { planSwitchover } from '../../../../../../src/standby/actions/failover/switchover/plan.ts';
import { noForce } from '../../../../../../src/standby/steps/force.ts';
import { answering } from '../../../siblings/sibling-kit.ts';
import { alone, localFacts } from '../../../standby-facts.ts';
import { beforeFacts } from './before-facts.ts';

const mark = { timeline: 1, lsn: 0x5000100n, by: 'c' };

function factsWith(
  primary: Partial<PrimaryFacts>,
  siblings: Partial<FailoverFacts['siblings']> = {},
): SwitchoverFacts {
  const liveness = { kind: 'dead', unsent: undefined, warnings: [] } as const;
  const local = localFacts('18');
  const failover = {
    ...local,
    ...alone,
    liveness,
    takesRole: true,
    force: noForce,
    siblings: { ...alone.siblings, ...siblings },
  };
  const before = beforeFacts({
    primary: { ...beforeFacts().primary, server: 'stopped', ...primary },
    slotRoom: { names: ['pitrtools_keep'], most: 2 },
  });
  const others = { begun: undefined, peer: { host: 'a' }, fed: {}, graceS: 0, streams: true };
  return { ...others, failover, before, port: 5432, systemIdentifier: '1' } as unknown as SwitchoverFacts;
}

const kinds = (facts: SwitchoverFacts) => planSwitchover(facts).map(({ kind }) => kind);

describe('a switchover by its plan', () => {
  test.each([
    ['of its own', { server: 'production' } as const],
    ['that an earlier run began', { stoppedFor: 'b' }],
  ])('looks %s for another primary before it promotes', (_, primary) => {
    const steps = kinds(factsWith(primary));
    const at = (kind: (typeof steps)[number]) => steps.indexOf(kind);
    // The check that the standby here is on the primary's timeline.
    expect(at('restartpoint')).toBeGreaterThanOrEqual(0);
    expect(at('restartpoint')).toBeLessThan(at('bring-wal'));
    expect(at('record-switchover')).toBeLessThan(at('stop-primary'));
    expect(at('record-end')).toBeLessThan(at('see-role-free'));
    expect(at('see-role-free')).toBeLessThan(at('see-primary-stopped'));
    expect(at('see-primary-stopped')).toBe(at('promote') - 1);
  });

  test('can give the old primary back until the standby here was asked to open', () => {
    const steps = kinds(factsWith({ stoppedFor: 'b' }));
    // The undo of the stop is what starts it again.
    expect(steps.indexOf('stop-primary')).toBeLessThan(steps.indexOf('restartpoint'));
  });

  test('is refused beside another primary while the standby here may open', () => {
    const isOpening = { isOpening: true };
    expect(() => planSwitchover({ ...factsWith({ server: 'production' }), ...isOpening })).toThrow(
      /asked the standby here to open/,
    );
    expect(kinds({ ...factsWith({ stoppedFor: 'b' }), ...isOpening })).toContain('promote');
  });

  test('is refused if another server has taken the role since an earlier run', () => {
    const rivals = [{ target: undefined, mark }];
    expect(() => planSwitchover(factsWith({ stoppedFor: 'b' }, { rivals }))).toThrow(/has not followed that/);
  });
});

test('all slots that the others will need are counted before the primary is stopped, its own first', () => {
  const ofPrimary = 'pitrtools_for_a_0123456789ab';
  const ofSibling = 'pitrtools_for_c_0123456789ab';
  const siblings = { siblings: [answering('c', { streamSlot: ofSibling })] };
  const one = planSwitchover(factsWith({ server: 'production', streamSlot: ofPrimary }));
  expect(one).toContainEqual({ kind: 'make-slots', names: [ofPrimary], conf: undefined });
  const two = (server: 'production' | 'stopped') =>
    factsWith({ server, streamSlot: ofPrimary, stoppedFor: 'b' }, siblings);
  expect(() => planSwitchover(two('production'))).toThrow(
    `max_replication_slots here is 2, and 3 are needed: pitrtools_keep, ${ofPrimary}, ${ofSibling}`,
  );
  // The primary is stopped already: a slot that does not fit is no reason to leave it so.
  expect(planSwitchover(two('stopped'))).toContainEqual({
    kind: 'make-slots',
    names: [ofPrimary, ofSibling],
    conf: undefined,
  });
});

test('a timeline that another server has left is not left again', () => {
  expect(() => {
    refuseIfLeft([mark], 1);
  }).toThrow(/another server has taken the primary's role/);
  expect(() => {
    refuseIfLeft([mark], 2);
  }).not.toThrow();
});

describe('the fork of the new timeline', () => {
  const shutdown = { timeline: 1, checkpoint: '0/5000028', end: '0/50000A0' };
  const left = (timeline: number, lsn: bigint) =>
    ({ timeline, end: { kind: 'lsn', lsn } }) as unknown as Parameters<typeof requireFork>[0];

  test('is at or behind the end of the old primary', () => {
    expect(() => {
      requireFork(left(1, 0x50000a0n), shutdown);
    }).not.toThrow();
    expect(() => {
      requireFork(left(1, 0x5000028n), shutdown);
    }).toThrow(/begins at 0\/5000028, before the end/);
    expect(() => {
      requireFork(undefined, shutdown);
    }).toThrow(/an unknown location/);
  });

  test('leaves the timeline of the old primary, and no later one', () => {
    expect(() => {
      requireFork(left(2, 0x6000000n), shutdown);
    }).toThrow(/has left timeline 2, and the old primary was on timeline 1/);
  });
});
