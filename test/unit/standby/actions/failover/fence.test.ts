import { describe, expect, test } from 'vitest';
import type { FailoverFacts } from '../../../../../src/standby/actions/failover/facts.ts';
import { type Fence, withFenced } from '../../../../../src/standby/actions/failover/fence.ts';
import { planFailover } from '../../../../../src/standby/actions/failover/plan.ts';
import { describeOutcome } from '../../../../../src/standby/actions/failover/report.ts';
import { roleOf } from '../../../../../src/standby/actions/failover/role.ts';
import { newRun } from '../../../../../src/standby/actions/failover/run.ts';
import { failoverSteps } from '../../../../../src/standby/actions/failover/steps.ts';
import type { StandbyDeps } from '../../../../../src/standby/deps.ts';
import { fullForce, noForce } from '../../../../../src/standby/steps/force.ts';
import { bindSteps } from '../../../../../src/standby/steps/step-table.ts';
import { alone, dataDirectory, localFacts } from '../../standby-facts.ts';

const deps = { settings: { pgdata: '/d' } } as StandbyDeps;
const due: Fence = { kind: 'due', command: '/fence', limitS: 60, isRepeated: false };
const dead = { kind: 'dead', unsent: 0, warnings: [] } as const;
const alive = { kind: 'alive', by: 'x', answers: true } as const;
const unasked = { kind: 'unasked', reason: 'x', check: 'x' } as const;

function facts(changes: Partial<FailoverFacts> = {}): FailoverFacts {
  return { ...localFacts('15'), ...alone, liveness: dead, force: noForce, fence: due, ...changes };
}

const kinds = (input: FailoverFacts) => planFailover(input).map(({ kind }) => kind);

describe('action_fence', () => {
  test('is the first step of a failover that takes the role, and described with its limit', () => {
    const steps = planFailover(facts());
    expect(steps[0]).toMatchObject({ kind: 'fence', command: '/fence', liveness: dead, isAccepted: false });
    const [first] = bindSteps(steps, failoverSteps, newRun(deps, facts()));
    expect(first?.say()).toBe('run action_fence, for at most 60 s: /fence');
    expect(first?.leavesNothing).toBe(false);
  });

  test('runs again in each run that has more to do than action_failover', () => {
    const production = { kind: 'production', answers: true } as const;
    const record = { settings: { mode: 'standby', names: [], file: 'x' }, takesRole: true } as const;
    const opened = facts({ state: production, directory: dataDirectory('15', { record }) });
    expect(kinds(opened)[0]).toBe('fence');
    const begun = facts({
      state: production,
      directory: dataDirectory('15', { record: { ...record, isActionBegun: true } }),
    });
    expect(kinds(begun)).not.toContain('fence');
  });

  test('does not run beside a living primary, unless the failover takes the role', () => {
    const beside = facts({ liveness: alive, force: fullForce });
    expect(kinds(beside)).not.toContain('fence');
    expect(planFailover({ ...beside, takesRole: true })[0]).toMatchObject({
      kind: 'fence',
      isAccepted: true,
    });
  });

  test('does not run twice', () => {
    const run = { ...newRun(deps, facts()), isFenced: true };
    expect(kinds(withFenced(facts(), run))).not.toContain('fence');
  });

  test('is a reason to take the role of a primary that could not be asked, unless it fails', () => {
    const input = facts({ liveness: unasked, force: fullForce });
    expect(roleOf(input, false)).toEqual({ kind: 'taken' });
    expect(roleOf({ ...input, fence: { kind: 'done' } }, false)).toEqual({ kind: 'taken' });
    for (const fence of [{ kind: 'failed' }, { kind: 'none' }] as const)
      expect(roleOf({ ...input, fence }, false)).toMatchObject({ kind: 'left' });
  });

  test('is named by the report', () => {
    const outcome = {
      openedAt: undefined,
      isFenced: true,
      others: undefined,
      hostName: 'beta',
      phases: [],
    };
    const [, , , line] = describeOutcome({ ...outcome, liveness: alive });
    expect(line).toMatch(/^The old primary was alive, and action_fence has succeeded\. /);
  });
});
