import { describe, expect, test } from 'vitest';
import {
  describeLiveness,
  judgeLiveness,
  livenessObjections,
  type PortAnswer,
  type RemoteAnswer,
  strongestAnswer,
} from '../../../../../src/standby/primary/liveness/verdict.ts';

const ports = {
  postgresql: { kind: 'postgresql' },
  held: { kind: 'held', how: 'does not answer' },
  refused: { kind: 'none', reason: 'refused' },
  'no-route': { kind: 'no-route', reason: 'no route', address: '192.0.2.1' },
  unasked: { kind: 'unasked', reason: 'the name does not resolve', check: 'Check the name.' },
} satisfies Record<string, PortAnswer>;

const remotes = {
  alive: { kind: 'alive', by: 'its postmaster runs there (pid 1)', answers: true },
  dead: { kind: 'dead', unsent: 0, hasLooked: true, notes: [] },
  /** Only its address on that host refused: no data directory was looked at. */
  'psql-refused': { kind: 'dead', unsent: undefined, hasLooked: false, notes: [] },
  unclear: { kind: 'unclear', reason: 'psql cannot be run there' },
  unreachable: { kind: 'unreachable', reason: 'Connection refused' },
  'no-ssh': { kind: 'unasked', reason: 'no ssh', check: 'Install ssh.' },
} satisfies Record<string, RemoteAnswer>;

const table: readonly (readonly [keyof typeof ports, Record<keyof typeof remotes, string>])[] = [
  [
    'postgresql',
    {
      alive: 'alive',
      dead: 'alive',
      'psql-refused': 'alive',
      unclear: 'alive',
      unreachable: 'alive',
      'no-ssh': 'alive',
    },
  ],
  [
    'held',
    {
      alive: 'alive',
      dead: 'dead',
      'psql-refused': 'silent',
      unclear: 'silent',
      unreachable: 'silent',
      'no-ssh': 'silent',
    },
  ],
  ...(['refused', 'no-route'] as const).map(
    (port) =>
      [
        port,
        {
          alive: 'alive',
          dead: 'dead',
          'psql-refused': 'dead',
          unclear: 'unreachable',
          unreachable: 'unreachable',
          'no-ssh': 'unasked',
        },
      ] as const,
  ),
  [
    'unasked',
    {
      alive: 'alive',
      dead: 'dead',
      'psql-refused': 'dead',
      unclear: 'unasked',
      unreachable: 'unasked',
      'no-ssh': 'unasked',
    },
  ],
];
const cases = table.flatMap(([port, row]) =>
  Object.entries(row).map(([remote, verdict]) => [port, remote as keyof typeof remotes, verdict] as const),
);

describe('the verdict on the primary', () => {
  test.each(cases)('with a port that is %s and a check that is %s is %s', (port, remote, verdict) => {
    const judged = judgeLiveness('p:1', ports[port], remotes[remote]);
    expect(judged.kind === 'alive' && !judged.answers ? 'silent' : judged.kind).toBe(verdict);
    expect(livenessObjections(judged)[0]?.name).toBe(
      { alive: 'primary-alive', silent: 'primary-alive', unasked: 'primary-unasked' }[verdict],
    );
  });

  test('warns of a port that is held beside a dead server', () => {
    expect(judgeLiveness('p:1', ports.held, remotes.dead)).toEqual({
      kind: 'dead',
      unsent: 0,
      hasLooked: true,
      warnings: ['something accepts connections at p:1 and does not answer, though no server runs there'],
    });
  });

  test('says for which switchover it was stopped', () => {
    const stoppedFor = { host: 'b\u0007', timeline: 1, since: '2026-11-28T20:00:00.000Z' };
    const judged = judgeLiveness('p:1', ports.refused, { ...remotes.dead, stoppedFor });
    expect(describeLiveness(judged)).toBe(
      'the primary is dead: its host answers, and no server runs there; it was stopped for a switchover to b\\x07 at 2026-11-28T20:00:00.000Z, which is not finished',
    );
  });

  test('says what to do about a port that is held', () => {
    const judged = judgeLiveness('p:1', ports.held, remotes.unreachable);
    expect(describeLiveness(judged)).toBe(
      'the primary counts as alive: something accepts connections at p:1 and does not answer: a hung server or a proxy',
    );
    expect(livenessObjections(judged)[0]?.hint).toBe('Power the host off or stop it first.');
  });

  test('follows the strongest answer of several addresses', () => {
    const kindOf = (...names: (keyof typeof ports)[]) =>
      strongestAnswer(names.map((name) => ports[name]))?.kind;
    expect(kindOf('unasked', 'refused')).toBe('none');
    expect(kindOf('refused', 'held', 'unasked')).toBe('held');
    expect(kindOf('held', 'postgresql')).toBe('postgresql');
    expect(kindOf('unasked', 'no-route')).toBe('no-route');
    expect(kindOf()).toBeUndefined();
  });
});
