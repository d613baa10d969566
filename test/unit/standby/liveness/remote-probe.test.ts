import { describe, expect, test } from 'vitest';
import { probeRemote, type RemoteAnswer } from '../../../../src/standby/liveness/remote-probe.ts';
import type { RemoteOptions, SshTarget } from '../../../../src/system/ssh.ts';

type Deps = Parameters<typeof probeRemote>[0];

const target = { host: 'primary', connectTimeoutS: 5 } as SshTarget;
const question = {
  primaryPgdata: '/data',
  psql: { program: 'psql', args: [] },
  host: '127.0.0.1',
  port: 5432,
  user: 'postgres',
  limitS: 5,
};

/** A host that says these lines, and then nothing until the connection is ended. */
async function askOneThatHangsAfter(lines: readonly string[]): Promise<RemoteAnswer> {
  const shell = {
    run: (_script: string, { onLine }: RemoteOptions) => {
      for (const line of lines) onLine?.(line);
      return Promise.resolve({ kind: 'lost', reason: 'killed by SIGTERM' });
    },
  };
  const deps = {
    withRemoteShell: async (
      _deps: unknown,
      _target: unknown,
      use: (of: typeof shell) => Promise<unknown>,
    ) => ({
      kind: 'used',
      value: await use(shell),
    }),
  } as unknown as Deps;
  return probeRemote(deps, target, question, 5_000, new AbortController().signal);
}

describe('a look that the limit cuts off', () => {
  test.each([
    ['postmaster 1234', 'its postmaster runs there (pid 1234)'],
    ['process 1235', 'server processes still run there (pid 1235)'],
  ])('after "%s" has seen life', async (line, by) => {
    expect(await askOneThatHangsAfter([line])).toEqual({ kind: 'alive', by });
  });

  test.each([
    [[]],
    [['looked', 'unsent 0']],
    [['looked', 'unsent 0', 'said psql: error: connection to ser']],
  ])('after %j has seen neither life nor death', async (lines) => {
    expect(await askOneThatHangsAfter(lines)).toEqual({ kind: 'unreachable', reason: 'killed by SIGTERM' });
  });
});
