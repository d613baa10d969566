import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { RemoteShell, SshTarget, WithRemoteShell } from '../../../src/system/ssh.ts';
import { connectionsAhead } from '../../../src/system/ssh-ahead.ts';

const target = { host: 's1' } as SshTarget;
const deps = {} as Parameters<WithRemoteShell>[0];

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** Counts the connections that were opened and have ended; the host answers what the test says. */
function host(answer: () => 'used' | 'unreachable' = () => 'used') {
  const seen = { opened: 0, ended: 0 };
  const withRemoteShell: WithRemoteShell = async (_, { host: name }, use) => {
    seen.opened += 1;
    const mark = `${name} ${String(seen.opened)}`;
    try {
      // As while ssh shakes hands.
      await Promise.resolve();
      if (answer() === 'unreachable') return { kind: 'unreachable', reason: mark };
      return { kind: 'used', value: await use({ rsyncShell: mark } as RemoteShell) };
    } finally {
      seen.ended += 1;
    }
  };
  return { seen, ahead: connectionsAhead(withRemoteShell) };
}

const nameOf = ({ rsyncShell }: RemoteShell): Promise<string> => Promise.resolve(rsyncShell);

test('what was begun is used once, and ends with its use', async () => {
  const { seen, ahead } = host();
  void ahead.begin(deps, target);
  await Promise.resolve();
  expect(seen.opened).toBe(1);
  expect(await ahead.withRemoteShell(deps, target, nameOf)).toEqual({ kind: 'used', value: 's1 1' });
  expect(seen).toEqual({ opened: 1, ended: 1 });
  expect(await ahead.withRemoteShell(deps, target, nameOf)).toEqual({ kind: 'used', value: 's1 2' });
  expect(seen).toEqual({ opened: 2, ended: 2 });
});

test('another target, or the same host with other options, gets a connection of its own', async () => {
  const { ahead } = host();
  void ahead.begin(deps, target);
  const other = { ...target, user: 'another' };
  expect(await ahead.withRemoteShell(deps, other, nameOf)).toEqual({ kind: 'used', value: 's1 2' });
  expect(await ahead.withRemoteShell(deps, target, nameOf)).toEqual({ kind: 'used', value: 's1 1' });
});

test('a standby that was not reached is reported to the one who wants the connection', async () => {
  const { seen, ahead } = host(() => 'unreachable');
  void ahead.begin(deps, target);
  expect(await ahead.withRemoteShell(deps, target, nameOf)).toEqual({
    kind: 'unreachable',
    reason: 's1 1',
  });
  expect(seen).toEqual({ opened: 1, ended: 1 });
});

test('a failure before there is a connection, and one of its use, reach the caller', async () => {
  const { seen, ahead } = host(() => {
    throw new Error('no directory for the socket');
  });
  void ahead.begin(deps, target);
  await expect(ahead.withRemoteShell(deps, target, nameOf)).rejects.toThrow('no directory');
  expect(seen.ended).toBe(1);

  const second = host();
  void second.ahead.begin(deps, target);
  const failing = second.ahead.withRemoteShell(deps, target, () => Promise.reject(new Error('a bug')));
  await expect(failing).rejects.toThrow('a bug');
  expect(second.seen).toEqual({ opened: 1, ended: 1 });
});

test('what nobody takes ends after a while, and a later use opens another one', async () => {
  const { seen, ahead } = host();
  void ahead.begin(deps, target);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(seen).toEqual({ opened: 1, ended: 1 });
  expect(await ahead.withRemoteShell(deps, target, nameOf)).toEqual({ kind: 'used', value: 's1 2' });
});

test('what is in use does not end when all others do', async () => {
  const { seen, ahead } = host();
  void ahead.begin(deps, target);
  void ahead.begin(deps, { ...target, host: 's2' });
  let finish: () => void = () => undefined;
  const using = ahead.withRemoteShell(
    deps,
    target,
    () =>
      new Promise<void>((resolve) => {
        finish = resolve;
      }),
  );
  await ahead.endUnused();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(seen).toEqual({ opened: 2, ended: 1 });
  finish();
  await using;
  expect(seen).toEqual({ opened: 2, ended: 2 });
});
