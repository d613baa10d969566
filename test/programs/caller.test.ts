import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import { eventually } from '../harness/eventually.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import { type Finished, run } from '../harness/processes.ts';
import { test } from '../harness/test.ts';
import { fakeCluster, prepareArchive } from './archiver-cluster.ts';
import { backupPair } from './backup-kit.ts';
import { expectExit } from './standby-kit.ts';

test.override({ major: 18 });

/** A language that writes `10,5`, made here because few machines have it; where it cannot be made, its name must do. */
async function german(directory: string): Promise<Record<string, string>> {
  await run('localedef', ['-i', 'de_DE', '-f', 'UTF-8', join(directory, 'de_DE.UTF-8')]);
  const name = 'de_DE.UTF-8';
  return { LOCPATH: directory, LANG: name, LANGUAGE: 'de', LC_ALL: name, LC_NUMERIC: name };
}

const hostile = {
  PGHOST: 'nowhere.invalid',
  PGHOSTADDR: '192.0.2.1',
  PGPORT: '1',
  PGUSER: 'nobody',
  PGDATABASE: 'nothing',
  PGOPTIONS: '-c nothing=1',
  PGSERVICE: 'nothing',
  PGDATA: '/nonexistent',
  RSYNC_RSH: '/bin/false',
  RSYNC_PROTECT_ARGS: '0',
  RSYNC_OLD_ARGS: '1',
  GREP_OPTIONS: '-v',
  CDPATH: '/:/tmp:/usr',
  ENV: '/nonexistent',
  BASH_ENV: '/nonexistent',
  POSIXLY_CORRECT: '1',
  BLOCK_SIZE: 'human-readable',
};

interface Caller {
  readonly directory: string;
  readonly env: NodeJS.ProcessEnv;
  readonly iniFile: string;
}

/** The shell is in a directory that it takes away from itself, and lets the program run there. */
function callFrom(
  kind: 'gone' | 'closed',
  caller: Caller,
  program: string,
  args: string[],
): Promise<Finished> {
  const directory = join(caller.directory, `called-from-${kind}`);
  mkdirSync(directory, { recursive: true });
  const close = kind === 'gone' ? `rmdir ${directory}` : `chmod 0 ${directory}`;
  const words = [checkout('bin', program), '-C', caller.iniFile, ...args];
  const script = `cd ${directory} && ${close} && "$@"; status=$?; [ ! -e ${directory} ] || chmod 700 ${directory}; exit $status`;
  return run('/bin/sh', ['-c', script, 'sh', ...words], { env: caller.env });
}

test('cmd_archiver initializes, ships and flushes with any environment of its caller, from a directory that was removed', async ({
  world,
}) => {
  const cluster = await fakeCluster(world, { slaves: ['standby1'], ini: { notify_critical: undefined } });
  for (const host of cluster.standbys) prepareArchive(host, cluster.systemIdentifier);
  const env = { ...cluster.host.env, ...hostile, ...(await german(world.directory)) };
  const caller = { directory: cluster.host.directory, env, iniFile: cluster.iniFile };
  expectExit(await callFrom('gone', caller, 'cmd_archiver', ['-I']), 0);
  const name = cluster.segment(1);
  cluster.addSegment(name);
  expectExit(await callFrom('closed', caller, 'cmd_archiver', ['-F', `pg_wal/${name}`]), 0);
  expectExit(await callFrom('gone', caller, 'cmd_archiver', ['-F', join(cluster.pgdata, 'pg_wal', name)]), 0);
  expectExit(await callFrom('closed', caller, 'cmd_archiver', ['--flush']), 0);
  expect(existsSync(join(cluster.standbys[0]?.archiveDir ?? '', name))).toBe(true);
});

test("a relative path of the INI file is relative to the caller's directory, and a missing file is named", async ({
  world,
}) => {
  const cluster = await fakeCluster(world, { slaves: ['standby1'] });
  const options = { env: cluster.host.env, cwd: cluster.host.directory };
  expectExit(await run(checkout('bin', 'cmd_archiver'), ['-C', 'cmd_archiver.ini', '-I'], options), 0);
  const caller = { directory: cluster.host.directory, env: cluster.host.env, iniFile: 'cmd_archiver.ini' };
  const gone = await callFrom('gone', caller, 'cmd_archiver', ['-I']);
  expectExit(gone, 3);
  expect(gone.stderr).toContain('cannot read the configuration file "cmd_archiver.ini"');
});

describe.each(failureMajors())('a standby of PostgreSQL %i', (major) => {
  test.override({ major });

  test('is made, started and promoted with any environment of the caller, from directories that cannot be entered', async ({
    world,
  }) => {
    const { primary, standby } = await backupPair(world);
    const action = join(standby.host.directory, 'action');
    standby.writeIni({ action_failover: `sh -c 'echo "$LC_ALL $PGHOST $PWD" >${action}'` });
    const env = { ...standby.host.env, ...hostile, ...(await german(world.directory)) };
    const caller = { directory: standby.host.directory, env, iniFile: standby.iniFile };
    // The login on the primary's host is hostile, too.
    const words = Object.entries(hostile).map(([name, value]) => `"${name}=${value}"`);
    await primary.host.sshd.reconfigure([
      `SetEnv ${words.join(' ')} PITRTOOLS_TEST_WORLD=${world.directory}`,
    ]);
    expectExit(await callFrom('gone', caller, 'cmd_standby', ['-I']), 0);
    expectExit(await callFrom('closed', caller, 'cmd_standby', ['-B']), 0);
    expectExit(await callFrom('closed', caller, 'cmd_standby', ['-S']), 0);
    await primary.archived(await primary.switchWal());
    await primary.kill9();
    expectExit(await callFrom('closed', caller, 'cmd_standby', ['-F999']), 0);
    await eventually(() => existsSync(action), { what: 'the action of the failover' });
    expect(await run('cat', [action])).toMatchObject({ stdout: 'de_DE.UTF-8 nowhere.invalid /\n' });
  });
});
