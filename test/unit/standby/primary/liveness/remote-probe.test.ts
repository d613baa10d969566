import { describe, expect, test } from 'vitest';
import {
  type ProbeDeps,
  probeRemote,
  type RemoteLook,
} from '../../../../../src/standby/primary/liveness/remote-probe.ts';
import type { RemoteOptions, RemoteResult, SshTarget } from '../../../../../src/system/ssh.ts';

const target = { host: 'primary', connectTimeoutS: 5 } as SshTarget;
const question = {
  primaryPgdata: '/data',
  psql: { program: 'psql', args: [] },
  host: '127.0.0.1',
  port: 5432,
  user: 'postgres',
  database: 'postgres',
  limitS: 5,
};

/** A host that says these lines to each script, one after another; after the last it hangs until the connection is ended. */
async function askOneThatSays(
  answers: readonly (readonly string[])[],
  wantsIdentity = false,
): Promise<RemoteLook> {
  const left = [...answers];
  let nowMs = 0;
  const shell = {
    run: (_script: string, { onLine }: RemoteOptions): Promise<RemoteResult> => {
      const lines = left.shift();
      for (const line of lines ?? []) onLine?.(line);
      const hangs = left.length === 0;
      return Promise.resolve(
        hangs
          ? { kind: 'lost', reason: 'killed by SIGTERM' }
          : { kind: 'done', status: 0, lines: lines ?? [] },
      );
    },
  };
  const deps = {
    now: () => nowMs,
    monotonicMs: () => nowMs,
    pause: (ms: number) => {
      nowMs += ms;
      return Promise.resolve();
    },
    withRemoteShell: async (
      _deps: unknown,
      _target: unknown,
      use: (of: typeof shell) => Promise<unknown>,
    ) => ({ kind: 'used', value: await use(shell) }),
  } as unknown as ProbeDeps;
  const wanted = { systemIdentifier: '7', identity: wantsIdentity };
  return probeRemote(deps, target, question, wanted, 5_000, new AbortController().signal);
}

const looked = ['identifier 7', 'unsent 0', 'looked'];
const refused = ['said psql: error: Connection refused', 'psql 2'];
const helper = 'server 12 S postgres: writer process   ';

describe("a check of the primary's host that the limit ends", () => {
  test.each([
    ['server 1234 S /usr/bin/postgres-D/data', 'its postmaster runs there (pid 1234)'],
    [
      'server 1234 T /usr/bin/postgres',
      'its postmaster runs there (pid 1234): it is stopped, and can continue at any moment',
    ],
    ['server 1235 D postgres: joe db [local] UPDATE', 'server processes still run there (pid 1235)'],
  ])('after "%s" has found the server alive', async (line, by) => {
    expect((await askOneThatSays([[line]])).answer).toMatchObject({ kind: 'alive', by });
  });

  test.each([[[[]]], [[looked]], [[looked, ['said psql: error: connection to ser']]]])(
    'after %j has found it neither alive nor dead',
    async (answers) => {
      expect((await askOneThatSays(answers)).answer).toEqual({
        kind: 'unreachable',
        reason: 'killed by SIGTERM',
      });
    },
  );
});

describe('a process that outlives its postmaster and serves no client', () => {
  test('is waited for', async () => {
    const { answer } = await askOneThatSays([[helper, ...looked], refused, [helper, ...looked], looked, []]);
    expect(answer).toEqual({ kind: 'dead', unsent: 0, hasLooked: true, notes: [] });
  });

  test('is named if it has not ended within the limit', async () => {
    const often = Array.from({ length: 40 }, () => [helper, ...looked]);
    const { answer } = await askOneThatSays([[helper, ...looked], refused, ...often, []]);
    expect(answer).toMatchObject({
      kind: 'dead',
      notes: ['its server has ended, but some of its processes have not yet: writer process (pid 12)'],
    });
  });

  test('is not taken for life although one of its client processes was seen', async () => {
    const client = 'server 13 S postgres: joe db [local] COMMIT';
    const { answer } = await askOneThatSays([[helper, ...looked], refused, [client, ...looked], []]);
    expect(answer).toEqual({ kind: 'alive', by: 'server processes still run there (pid 13)', answers: true });
  });
});

describe('the identity of a living server', () => {
  const postmaster = ['identifier 7', 'server 1 S postgres'];
  test('is taken from its own answers', async () => {
    const said = ['release 180004', 'recovery false', 'identifier 8', 'file 0000000A00000001000000FE'];
    expect((await askOneThatSays([postmaster, said, []], true)).identity).toEqual({
      inRecovery: false,
      systemIdentifier: '8',
      timeline: 10,
    });
  });

  test('is taken from its data directory if it does not answer', async () => {
    expect((await askOneThatSays([['recovers', ...postmaster], [], []], true)).identity).toEqual({
      inRecovery: true,
      systemIdentifier: '7',
      timeline: undefined,
    });
  });

  test('is known on 8.4 only once the server is out of recovery', async () => {
    expect((await askOneThatSays([postmaster, ['release 80422'], []], true)).identity.inRecovery).toBe(false);
  });
});
