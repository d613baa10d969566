import { describe, expect, test } from 'vitest';
import { type Asked, judgeStart, type StartFacts } from '../../../../src/archiver/actions/may-start/judge.ts';
import type { LeftTimeline } from '../../../../src/postgres/left-timeline.ts';

const fork: LeftTimeline = { timeline: 2, lsn: 0x5000110n, by: 'hostc' };
const cluster = { systemIdentifier: '1', timeline: 2, begin: 0x3000000n, checkpointLsn: 0x4000028n };

function asked(name: string, left: readonly LeftTimeline[], changes: Partial<Asked> = {}): Asked {
  const sentinel = {
    systemIdentifier: '1',
    standby: name,
    primaryPgdata: undefined,
    promotedAtTimeline: undefined,
    left,
  };
  const answer = { kind: 'answered', sentinel, takesRole: undefined } as const;
  return { name, answer, restored: [], refusedBy: undefined, ...changes };
}

const silent = { answer: { kind: 'silent', reason: 'no route' } } as const;

function judged(...each: readonly Asked[]) {
  return judgeStart({ cluster, asked: each, own: [] });
}

describe('whether a primary may start', () => {
  test('is refused if a standby says that its timeline was left, before or behind the end of its WAL', () => {
    expect(judged(asked('a', []), asked('b', [fork]))).toEqual({
      kind: 'refused',
      message: 'PostgreSQL must not start here: timeline 2 was left at 0/5000110 by hostc, as standby b says',
      detail: undefined,
      hint: expect.stringContaining('Make this server a standby of hostc') as string,
      state: 'timeline 2 was left at 0/5000110 by hostc',
    });
    const further: StartFacts = {
      cluster: { ...cluster, checkpointLsn: 0x6000028n },
      asked: [asked('b', [fork])],
      own: [],
    };
    expect(judgeStart(further)).toMatchObject({
      detail:
        'This server has written past there, to LSN 0/6000028 at least: what it wrote after the fork is only here.',
    });
  });

  test('is not refused for an earlier timeline, or for another one of the same number', () => {
    const earlier = { ...fork, timeline: 1 };
    expect(judged(asked('a', [earlier, { ...fork, lsn: 0x2000000n }]))).toEqual({
      kind: 'allowed',
      reason: 'timeline 2 was not left, as a says',
      warnings: [],
    });
    // Without its history file, the mark counts.
    const unknown = { ...cluster, begin: undefined };
    const facts = { cluster: unknown, asked: [asked('a', [{ ...fork, lsn: 0x2000000n }])], own: [] };
    expect(judgeStart(facts).kind).toBe('refused');
  });

  test('is not refused for a mark that the operator has taken back', () => {
    expect(judged(asked('a', [fork], { restored: [fork] })).kind).toBe('allowed');
    const other = { ...fork, by: 'hostd' };
    expect(judged(asked('a', [fork], { restored: [other] })).kind).toBe('refused');
  });

  test('is refused while a failover elsewhere takes the role, but not beside a server that was only opened', () => {
    const one = asked('b', []);
    if (one.answer.kind !== 'answered') throw new Error('unreachable');
    const { sentinel } = one.answer;
    for (const [takesRole, action] of [
      ['failover', '-F999'],
      ['switchover', '--switchover'],
    ] as const)
      expect(judged({ ...one, answer: { ...one.answer, takesRole } })).toMatchObject({
        kind: 'refused',
        message: expect.stringContaining(
          `b is taking the primary's role, by a ${takesRole} that is not finished`,
        ) as string,
        hint: expect.stringContaining(`Let ${action} on b end`) as string,
      });
    const opened = { ...one, answer: { ...one.answer, sentinel: { ...sentinel, promotedAtTimeline: 3 } } };
    expect(judged(opened)).toMatchObject({
      kind: 'allowed',
      warnings: ["b was promoted, at timeline 3, and has not taken the primary's role"],
    });
  });

  test('is unseen by a standby without a mark that has followed a later timeline, which is no witness', () => {
    const on = (timeline: number) => {
      const { answer, ...rest } = asked('b', []);
      return { ...rest, answer: { ...answer, timeline } } as Asked;
    };
    expect(judged(on(2))).toMatchObject({ kind: 'allowed', warnings: [] });
    const reasons = [
      'standby b has replayed WAL of timeline 3, and this server continues timeline 2: perhaps another server is the primary',
    ];
    expect(judged(on(3))).toEqual({ kind: 'unseen', reasons });
    expect(judged(on(3), asked('c', []))).toEqual({
      kind: 'allowed',
      reason: 'timeline 2 was not left, as c says',
      warnings: reasons,
    });
  });

  test('is unseen if a standby does not say whether it is being promoted, unless it knows a mark', () => {
    const unsaid = (left: readonly LeftTimeline[]) => {
      const { answer, ...rest } = asked('b', left);
      return { ...rest, answer: { ...answer, unsaid: 'no answer within 5 s' } } as Asked;
    };
    expect(judged(unsaid([]))).toEqual({
      kind: 'unseen',
      reasons: ['standby b could not say whether it is being promoted: no answer within 5 s'],
    });
    expect(judged(unsaid([fork])).kind).toBe('refused');
    expect(judged(unsaid([]), asked('a', []))).toMatchObject({
      kind: 'allowed',
      reason: 'timeline 2 was not left, as a says',
    });
  });

  test('is unseen if nobody could say it, unless the files here know it', () => {
    const nobody = asked('a', [], silent);
    expect(judged(nobody)).toEqual({
      kind: 'unseen',
      reasons: ['standby a could not say it: no route'],
    });
    expect(judged({ ...nobody, refusedBy: fork })).toMatchObject({
      kind: 'refused',
      message: expect.stringMatching(/, as standby a said when it was reached last$/) as string,
    });
    expect(judgeStart({ cluster, asked: [nobody], own: [fork] }).kind).toBe('refused');
    // A standby that answers knows better than its lane's state.
    expect(judged(asked('a', [], { refusedBy: fork })).kind).toBe('allowed');
    expect(judged(nobody, asked('b', []))).toMatchObject({
      kind: 'allowed',
      warnings: ['standby a could not say it: no route'],
    });
  });
});
