import { describe, expect, test } from 'vitest';
import {
  noteFor,
  requireNoOther,
  requireNotTaken,
  requireOurs,
  resumptionOf,
} from '../../../../src/standby/hand-over/stopped-for.ts';
import type { ServerState } from '../../../../src/standby/server/server-state.ts';

const stopped: ServerState = { kind: 'stopped' };
const serving = { kind: 'production', answers: true } as unknown as ServerState;
const silent = { kind: 'production', answers: false } as unknown as ServerState;

describe('a stop', () => {
  test('is refused to a second host, even while the first one waits', () => {
    const refused = /was stopped for a switchover to b, not to c/;
    expect(() => {
      requireNoOther({ host: 'b' }, 'c', stopped);
    }).toThrow(refused);
    expect(() => {
      requireNoOther({ host: 'b' }, 'c', silent);
    }).toThrow(refused);
  });

  test.each([
    ['the same host', { host: 'b' }, 'b', stopped],
    ['the first host', undefined, 'c', serving],
    ['another host, once the server was started again', { host: 'b' }, 'c', serving],
  ] as const)('is allowed to %s', (_, stoppedFor, host, state) => {
    expect(() => {
      requireNoOther(stoppedFor, host, state);
    }).not.toThrow();
  });

  test('replaces the token of the same host, and keeps the end that was noted', () => {
    const since = '2026-11-28T20:00:00.000Z';
    const noted = { host: 'b', timeline: 1, token: 'aa', since, checkpoint: '0/4000028', end: '0/4000098' };
    const again = { host: 'b', timeline: 1, token: 'bb', since: '2026-11-28T21:00:00.000Z' };
    expect(noteFor(noted, again)).toEqual({ ...noted, token: 'bb' });
    const later = { ...again, timeline: 2 };
    expect(noteFor(noted, later)).toEqual(later);
    expect(noteFor(undefined, later)).toEqual(later);
  });
});

describe('a stop of a primary that does not run', () => {
  test('is refused unless a switchover has stopped it, because a failover may have replaced it', () => {
    expect(() => {
      requireOurs(undefined, stopped);
    }).toThrow(/does not run, and was not stopped for a switchover/);
    for (const [stoppedFor, state] of [
      [{ host: 'b' }, stopped],
      [undefined, serving],
    ] as const)
      expect(() => {
        requireOurs(stoppedFor, state);
      }).not.toThrow();
  });
});

describe('a primary is started again', () => {
  test('for the run that has stopped it', () => {
    expect(resumptionOf({ host: 'b', token: 'aa' }, 'aa', stopped)).toEqual({ kind: 'resume', host: 'b' });
    expect(resumptionOf({ host: 'b', token: 'aa' }, 'aa', serving)).toEqual({ kind: 'resume', host: 'b' });
  });

  test.each([stopped, silent, serving])('for no other run: %j', (state) => {
    expect(resumptionOf({ host: 'b', token: 'bb' }, 'aa', state)).toEqual({ kind: 'held', by: 'b' });
    expect(resumptionOf({ host: 'b', token: undefined }, 'aa', state)).toEqual({ kind: 'held', by: 'b' });
  });

  test('only if a switchover has stopped it', () => {
    expect(resumptionOf(undefined, 'aa', serving)).toEqual({ kind: 'nothing' });
    expect(() => resumptionOf(undefined, 'aa', stopped)).toThrow(/was not stopped for a switchover/);
  });
});

describe('beside the host for which it was stopped, a primary is', () => {
  const opens =
    (said: Parameters<typeof requireNotTaken>[0]): (() => void) =>
    () => {
      requireNotTaken(said, 'b', 1);
    };

  test.each([{ server: 'production' }, { server: 'down', promotedTo: 2 }] as const)(
    'not opened if that one was promoted: %j',
    (said) => {
      expect(opens(said)).toThrow(/b was promoted/);
    },
  );

  test('not opened if that one is about to be promoted', () => {
    expect(opens({ server: 'recovering', promotion: 'aa' })).toThrow(/at any moment/);
  });

  test.each([{ server: 'recovering' }, { server: 'recovering', promotedTo: 1 }, { server: 'down' }] as const)(
    'opened if that one is a standby: %j',
    (said) => {
      expect(opens(said)).not.toThrow();
    },
  );
});
