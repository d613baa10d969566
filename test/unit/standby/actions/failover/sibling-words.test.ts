import { describe, expect, test } from 'vitest';
import type { FailoverFacts } from '../../../../../src/standby/actions/failover/facts.ts';
import { listFailoverObjections } from '../../../../../src/standby/actions/failover/objections.ts';
import { planFailover } from '../../../../../src/standby/actions/failover/plan.ts';
import { roleOf } from '../../../../../src/standby/actions/failover/role.ts';
import {
  describeLoss,
  describeRole,
  nextForSiblings,
} from '../../../../../src/standby/actions/failover/sibling-words.ts';
import { compareSiblings } from '../../../../../src/standby/siblings/compare.ts';
import type { SiblingFacts } from '../../../../../src/standby/siblings/observe.ts';
import { findRivals } from '../../../../../src/standby/siblings/rivals.ts';
import { fullForce, noForce } from '../../../../../src/standby/steps/force.ts';
import { answering, archiver, names, own, sibling } from '../../siblings/sibling-kit.ts';
import { alone, dataDirectory, localFacts } from '../../standby-facts.ts';

function facts(changes: Partial<FailoverFacts> = {}): FailoverFacts {
  const liveness = { kind: 'dead', unsent: 0, warnings: [] } as const;
  return { ...localFacts('15'), ...alone, liveness, force: noForce, ...changes };
}

function others(...siblings: SiblingFacts['siblings']): SiblingFacts {
  const list = { kind: 'known', archiver, targets: siblings.map(({ target }) => target) } as const;
  const here = own([5]);
  const { path } = here.facts;
  const rivals = findRivals(siblings, path, []);
  return { list, siblings, comparison: compareSiblings(siblings, here), rivals, path };
}

const taken = { kind: 'taken' } as const;
const left = (reason: string) =>
  ({ kind: 'left', reason: expect.stringContaining(reason) as string }) as const;

describe('the role of the primary', () => {
  test('is taken by a failover whose primary was found dead or unreachable, and by nothing else', () => {
    expect(roleOf(facts(), false)).toEqual(taken);
    expect(roleOf(facts({ liveness: { kind: 'unreachable', reason: 'x' } }), false)).toEqual(taken);
    const alive = facts({ liveness: { kind: 'alive', by: 'x', answers: true }, force: fullForce });
    expect(roleOf(alive, false)).toEqual(left('alive'));
    const unasked = facts({ liveness: { kind: 'unasked', reason: 'x', check: 'y' }, force: fullForce });
    expect(roleOf(unasked, false)).toEqual(left('could not be asked'));
    expect(roleOf(facts(), true)).toEqual(left('target'));
    for (const each of [alive, unasked]) expect(roleOf({ ...each, takesRole: true }, true)).toEqual(taken);
  });

  test('is what the run decided that opened the server, whatever has become of the primary', () => {
    const state = { kind: 'production', answers: true } as const;
    const opened = (takesRole: boolean) =>
      facts({ state, directory: dataDirectory('15', { record: { takesRole } }) });
    expect(roleOf(opened(false), false)).toEqual(left('the run that opened it'));
    expect(roleOf({ ...opened(true), liveness: { kind: 'alive', by: 'x', answers: true } }, false)).toEqual(
      taken,
    );
    const recovering = facts({ directory: dataDirectory('15', { record: { takesRole: false } }) });
    expect(roleOf(recovering, false)).toEqual(taken);
  });

  test('is recorded before anything can open the server, and passed on only after its checks', () => {
    const siblings = others(answering('c'));
    const kinds = planFailover(facts({ siblings })).map(({ kind }) => kind);
    expect(kinds.slice(0, 4)).toEqual(['record-role', 'see-no-rival', 'guard-replay', 'promote']);
    const verified = kinds.indexOf('verify-write');
    expect(kinds.indexOf('declare-left')).toBeGreaterThan(verified);
    expect(kinds[kinds.indexOf('declare-left') + 1]).toBe('inform-siblings');
    const alive = facts({ siblings, force: fullForce, liveness: { kind: 'alive', by: 'x', answers: true } });
    const without = planFailover(alive);
    expect(without[0]).toEqual({ kind: 'record-role', takesRole: false });
    expect(without.map(({ kind }) => kind)).not.toContain('declare-left');
  });
});

describe('a standby that is ahead', () => {
  test('is an objection with both locations and the way out', () => {
    const [objection, ...more] = listFailoverObjections(
      facts({ siblings: others(answering('c', { replayed: '0/6000100' }), answering('d')) }),
    );
    expect(more).toEqual([]);
    expect(objection).toEqual({
      name: 'sibling-ahead',
      message:
        'standby c has come further: it has WAL up to LSN 0/6000100, and this host can replay to 0/6000000',
      hint: '-F999 on c loses less.',
      cost: '256 bytes of WAL that only c has are lost',
    });
  });

  test('is none where its WAL can be fetched, which comes first; then the archive is judged again', () => {
    const siblings = others(answering('c', { replayed: '0/6000100', archived: names(6) }));
    const input = facts({ siblings, replayProblems: ['a gap'] });
    const [first, second] = planFailover(input);
    expect(first).toMatchObject({ kind: 'fetch-wal', isAccepted: false });
    expect(second?.kind).toBe('record-role');
    expect(planFailover({ ...input, force: fullForce })[0]).toMatchObject({ isAccepted: true });
  });
});

describe('a switchover that is not finished', () => {
  const stoppedFor = { host: 'hostb', timeline: 1 };
  const dead = { kind: 'dead', unsent: 0, warnings: [], hasLooked: true } as const;
  const objections = (changes: Partial<FailoverFacts>) => listFailoverObjections(facts(changes));

  test('is an objection if the primary says that it was stopped for it', () => {
    expect(objections({ liveness: { ...dead, stoppedFor } })).toMatchObject([
      {
        name: 'switchover-begun',
        message: 'the primary was stopped for a switchover to hostb, which is not finished',
        hint: 'Run --switchover on hostb: it finishes what it began, and loses nothing.',
      },
    ]);
  });

  test('is one if another standby says that it has begun it, unless the primary was seen and knows nothing of it', () => {
    const siblings = others(answering('c', { switchover: 'hosta' }));
    expect(objections({ siblings, liveness: { kind: 'unreachable', reason: 'x' } })).toMatchObject([
      {
        name: 'switchover-begun',
        message: 'standby c has begun a switchover with hosta, which is not finished',
      },
    ]);
    expect(objections({ siblings, liveness: dead })).toEqual([]);
  });

  test('is none once it has promoted that standby: then it matters whether this host has followed', () => {
    const liveness = { kind: 'unreachable', reason: 'x' } as const;
    const siblings = others(answering('c', { server: 'down', switchover: 'hosta', promotedTo: 2 }));
    expect(objections({ siblings, liveness }).map(({ name }) => name)).toEqual(['sibling-promoted']);
    expect(objections({ siblings: { ...siblings, rivals: [] }, liveness })).toEqual([]);
  });

  test('is named as what promotes a standby', () => {
    const promoting = answering('c', { promotion: 'f1', switchover: 'hosta' });
    expect(objections({ siblings: others(promoting), liveness: dead })).toMatchObject([
      {
        message: 'standby c is being promoted by a switchover',
        hint: 'Wait for it; if it was interrupted, run --switchover on c again.',
      },
    ]);
  });
});

describe('a standby that was promoted, or is about to be', () => {
  const objections = (changes: Partial<FailoverFacts>) =>
    listFailoverObjections(facts(changes)).map(({ name, message }) => `${name ?? ''}: ${message}`);

  test('is an objection with the way out', () => {
    expect(
      objections({
        siblings: others(
          answering('c', { server: 'production', isStandby: false }),
          answering('d', { server: 'down' }, 2),
          answering('e', { promotion: 'f1' }),
          answering('f', { proved: { timeline: 3, lsn: '0/1' } }),
          answering('g'),
        ),
      }),
    ).toEqual([
      'sibling-promoted: standby c is out of recovery, on timeline 1',
      'sibling-promoted: standby d was promoted to timeline 2, which this host has not followed',
      'sibling-promoted: standby e is being promoted by another -F999',
      'sibling-promoted: standby f is on timeline 3, which is later than that of this host: another server was promoted',
    ]);
  });

  test('is one for a failover that was not finished, if it takes the role', () => {
    const siblings = others(answering('c', { server: 'production' }));
    const opened = (takesRole: boolean) => ({
      siblings,
      state: { kind: 'production', answers: true } as const,
      directory: dataDirectory('15', { record: { takesRole, isFailoverUnfinished: true } }),
    });
    expect(objections(opened(true))).toEqual([
      'sibling-promoted: standby c is out of recovery, on timeline 1',
    ]);
    expect(objections(opened(false))).toEqual([]);
  });

  test('is asked for once more before every way of opening, also where only this host may know of it', () => {
    const kinds = (changes: Partial<FailoverFacts>) => planFailover(facts(changes)).map(({ kind }) => kind);
    const siblings = others(answering('c'));
    const stopped = kinds({ siblings, state: { kind: 'stopped' } });
    expect(stopped.indexOf('see-no-rival')).toBe(stopped.indexOf('promote') - 2);
    const old = kinds({
      siblings,
      directory: dataDirectory('9.0'),
      state: { kind: 'recovering', answers: true, progress: '' },
    });
    expect(old.indexOf('see-no-rival')).toBe(1);
    expect(kinds({ siblings: others(sibling('c', { kind: 'silent', reason: 'x' })) })).toContain(
      'see-no-rival',
    );
    expect(kinds({})).not.toContain('see-no-rival');
  });
});

describe('the report on other standbys', () => {
  test('says what may be lost, and who was not asked', () => {
    const silent = sibling('d', { kind: 'silent', reason: 'x' });
    // The old primary's host, too, would be fed from here: what it may have is in the same line.
    const old = { ...sibling('a', silent.answer), isPrimaryHost: true as const };
    expect(describeLoss(others(answering('c', { replayed: '0/6000100' }), silent, old))).toEqual([
      'Lost: 256 bytes of WAL after LSN 0/6000000, which standby c has, up to LSN 0/6000100',
      'May be lost: WAL that the old primary wrote after LSN 0/6000000; how much that is, is not known here. Not asked, and perhaps further: d',
    ]);
    expect(describeLoss(alone.siblings)).toEqual([]);
  });

  test('says of each whether it was informed, how it stands, and the next command', () => {
    const marks = [{ timeline: 1, lsn: 0x600_0028n, by: 'b' }];
    const silent = { kind: 'silent', reason: 'x' } as const;
    const informed = [
      { kind: 'informed', sibling: answering('c'), standing: 'before', moved: 0 },
      { kind: 'informed', sibling: answering('d'), standing: 'diverged', moved: 2 },
      {
        kind: 'not-informed',
        sibling: sibling('e', silent),
        reason: 'no\u001b[2J route',
      },
    ] as const;
    const outcome = { role: taken, left: { marks, problem: undefined }, informed };
    expect(describeRole(outcome)).toEqual([
      "This server has taken the old primary's role: timeline 1 was left at LSN 0/6000028",
      'Standby c was informed: it has not replayed past the fork',
      'Standby d was informed: it has replayed WAL past the fork, and cannot follow; 2 files from behind the fork were moved aside there',
      "Standby e was not informed that the old timeline was left (no\\x1b[2J route): the next hello of this host's cmd_archiver informs it",
    ]);
    // The old primary, a, is to be fed too.
    const withOld = {
      ...outcome,
      informed: [
        ...informed,
        { ...informed[2], sibling: { ...sibling('a', silent), isPrimaryHost: true as const } },
      ],
    };
    expect(nextForSiblings(withOld, 'b')).toEqual([
      'on c: cmd_standby -C /etc/cmd_standby.ini --follow b',
      'on d: set master_public_ip to this host (b), then run cmd_standby -C /etc/cmd_standby.ini -A stop, -B and -S',
      'on e: cmd_standby -C FILE --follow b; if it has replayed past the fork, that refuses, and it needs a new base backup',
    ]);
  });

  test('says what follows where the role was not taken', () => {
    const role = { kind: 'left', reason: 'the old primary is alive' } as const;
    expect(describeRole({ role, left: undefined, informed: undefined })[0]).toMatch(
      /has not taken .* because the old primary is alive: no other standby was informed, .*--take-role/,
    );
  });
});
