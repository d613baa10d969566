import { expect, test } from 'vitest';
import { standbyCheck } from '../../../../src/standby/check/context.ts';
import { checkClock, checkLibrary, checkSsh, checkVersions } from '../../../../src/standby/check/primary.ts';
import type { StandbyDeps } from '../../../../src/standby/deps.ts';
import type { RemoteShell, SshTarget } from '../../../../src/system/ssh.ts';

const settings = {
  basebackup_method: 'rsync',
  master_public_ip: 'alpha',
  master_local_ip: '127.0.0.1',
  port: 5432,
  user: 'postgres',
  ssh: { program: '/bin/sh', args: [] },
  ssh_timeout: 30,
  ssh_debug: false,
  includepath: [],
  rsync_flags: [],
  rsync: { program: 'rsync', args: [] },
  r_psql: { program: 'psql', args: [] },
};

/** The login works, and the question for the facts of the host gets no answer in time. */
const withRemoteShell = async (
  _: unknown,
  target: SshTarget,
  use: (shell: RemoteShell) => Promise<unknown>,
) => {
  const shell = { target, run: () => Promise.resolve({ kind: 'lost', reason: 'no answer within 20 s' }) };
  return { kind: 'used', value: await use(shell as unknown as RemoteShell) };
};

test('a primary that does not say its facts is unknown to the checks, and ssh to it is not called forbidden', async () => {
  const log = { debug: () => undefined };
  const deps = {
    settings,
    log,
    iniFile: '/etc/cmd_standby.ini',
    now: () => 0,
    run: () => Promise.resolve({ kind: 'exited', code: 0, stdout: 'glibc 2.36', stderr: '' }),
    withRemoteShell,
  } as unknown as StandbyDeps;
  const check = standbyCheck(deps, true, () => Promise.resolve(0));
  for (const ask of [checkClock, checkVersions, checkLibrary]) {
    const [first] = [await ask(check)].flat();
    expect(first).toMatchObject({
      result: 'unknown',
      says: 'alpha did not say what it has: no answer within 20 s',
    });
  }
  expect([await checkSsh(check)].flat()).toMatchObject([{ result: 'ok' }]);
});
