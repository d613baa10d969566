import { describe, expect, test } from 'vitest';
import { planStop, type StopFacts } from '../../../../src/standby/actions/start-stop.ts';
import { fullForce, noForce } from '../../../../src/standby/steps/force.ts';

const running = {
  kind: 'running',
  pid: 7,
  port: 5432,
  socketDirectory: undefined,
  listenAddress: undefined,
} as const;

function facts(changes: Partial<StopFacts>): StopFacts {
  return { pgdata: '/main', postmaster: running, foreignState: undefined, force: noForce, ...changes };
}

describe('-A stop', () => {
  const stops = [{ kind: 'stop-server', pid: 7 }];

  test('stops a server with a record of ours, and a standby that another tool made', () => {
    expect(planStop(facts({}))).toEqual(stops);
    const recovering = { kind: 'recovering', answers: true, progress: '' } as const;
    expect(planStop(facts({ foreignState: recovering }))).toEqual(stops);
  });

  test('refuses a foreign server that accepts writes, or soon may, unless forced', () => {
    const production = { kind: 'production', answers: true } as const;
    const starting = { kind: 'starting', progress: '' } as const;
    expect(() => planStop(facts({ foreignState: production }))).toThrow(
      'the server in "/main" (pid 7) is in production and bears no record of -B, -S or -F999',
    );
    expect(() => planStop(facts({ foreignState: starting }))).toThrow('is not known to be a standby');
    expect(planStop(facts({ foreignState: production, force: fullForce }))).toEqual(stops);
  });

  test('does nothing if no server runs', () => {
    expect(planStop(facts({ postmaster: { kind: 'none' } }))).toEqual([]);
  });
});
