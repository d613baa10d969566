import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { testMajors } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import { backupPair, snapshot } from './backup-kit.ts';

const major = testMajors()[0] ?? 15;

test.override({ major });

describe('cmd_standby -I', () => {
  test('can be repeated without any further change', async ({ world }) => {
    const { standby } = await backupPair(world);
    expect(await world.cmdStandby(standby, ['-I'])).toMatchObject({ code: 0 });
    const sentinel = readFileSync(join(standby.archiveDir, '.pitrtools'), 'utf8');
    expect(sentinel).toMatch(
      /^system_identifier: \d+\nstandby: .+\nprimary_pgdata: .+\nprogram: \/.+\/bin\/cmd_standby\nini: \/.+\n$/,
    );
    mkdirSync(join(standby.archiveDir, 'kept'));
    writeFileSync(join(standby.pgdata, 'postgresql.conf'), '# mine\n');
    const before = Object.keys(snapshot(standby.archiveDir));
    expect(await world.cmdStandby(standby, ['-I'])).toMatchObject({ code: 0, stdout: 'Standby is ready\n' });
    expect(Object.keys(snapshot(standby.archiveDir))).toEqual(before);
    expect(readFileSync(join(standby.pgdata, 'postgresql.conf'), 'utf8')).toBe('# mine\n');
  });

  test('refuses a directory that it cannot make or that has another owner, and says what to do', async ({
    world,
  }) => {
    const { standby } = await backupPair(world);
    const parent = join(standby.host.directory, 'closed');
    mkdirSync(parent);
    chmodSync(parent, 0o500);
    standby.writeIni({ pgdata: join(parent, 'main') });
    const run = await world.cmdStandby(standby, ['-I']);
    expect(run).toMatchObject({ code: 4 });
    expect(run.stderr).toContain(`cannot make directory "${join(parent, 'main')}"`);
    expect(run.stderr).toContain('install -d -m 0700');
    chmodSync(parent, 0o700);
  });
});

describe('a misspelt pgdata', () => {
  test('is refused by -I and by the check beside the existing data directory, and is made only by --force', async ({
    world,
  }) => {
    const { standby } = await backupPair(world);
    const parent = join(standby.host.directory, 'data');
    const [meant, misspelt] = [join(parent, 'main'), join(parent, 'mian')];
    mkdirSync(meant, { recursive: true });
    writeFileSync(join(meant, 'PG_VERSION'), `${major}\n`);
    standby.writeIni({ pgdata: misspelt });
    const said = `pgdata "${misspelt}" does not exist, and "${meant}" beside it is a data directory`;

    const check = await world.cmdStandby(standby, []);
    expect(check).toMatchObject({ code: 1, stdout: '' });
    expect(check.stderr).toContain(said);
    const init = await world.cmdStandby(standby, ['-I']);
    expect(init).toMatchObject({ code: 4, stdout: '' });
    expect(init.stderr).toContain(said);
    expect(existsSync(misspelt)).toBe(false);

    const forced = await world.cmdStandby(standby, ['-I', '--force=new-pgdata']);
    expect(forced).toMatchObject({ code: 0, stdout: 'Standby is ready\n' });
    expect(forced.stderr).toContain(`pgdata "${misspelt}" does not exist and is made`);
  });
});

describe('cmd_standby that runs on the primary by mistake', () => {
  test('reports this by -I without advice to stop the primary, and stops it by -A stop only with --force', async ({
    world,
  }) => {
    const { primary, standby } = await backupPair(world);
    standby.writeIni({ pgdata: primary.pgdata });
    const init = await world.cmdStandby(standby, ['-I']);
    expect(init).toMatchObject({ code: 4 });
    expect(init.stderr).toContain(`PostgreSQL runs here on "${primary.pgdata}"`);
    expect(init.stderr).toContain('it may be the primary');
    expect(init.stderr).not.toContain('-A stop');
    expect(init.stderr).toContain(`master_public_ip "${primary.host.address}" is this very host`);

    const stop = await world.cmdStandby(standby, ['-A', 'stop']);
    expect(stop).toMatchObject({ code: 4, stdout: '' });
    expect(stop.stderr).toContain('is in production and bears no record of -B, -S or -F999');
    expect(await primary.value('SELECT 1')).toBe('1');

    const forced = await world.cmdStandby(standby, ['-A', 'stop', '--force']);
    expect(forced).toMatchObject({ code: 0, stdout: 'server stopped\n' });
    expect(primary.isRunning()).toBe(false);
  });

  test('warns with every action that uses master_public_ip that this is the same host', async ({ world }) => {
    const { standby } = await backupPair(world);
    // This machine's own name, as Debian's /etc/hosts leads it to itself.
    standby.writeIni({ master_public_ip: hostname() });
    for (const action of [[], ['-I'], ['-B'], ['-S'], ['-F999']]) {
      const { stderr } = await world.cmdStandby(standby, action);
      expect(stderr).toContain(`WARNING: master_public_ip "${hostname()}" is this very host`);
      expect(stderr).toContain('never on the primary');
    }
  });
});

describe('the command line of cmd_standby', () => {
  test('refuses two actions, an unknown action, -F with another number and -R alone, and does nothing', async ({
    world,
  }) => {
    const { standby } = await backupPair(world);
    const cases: readonly (readonly [readonly string[], string])[] = [
      [['-I', '-B'], 'one action at a time, not -I and -B'],
      [['-Arestart'], 'unknown action -A restart'],
      [['-F998'], '-F 998 is not -F 999'],
      [['-R', '2020-01-01 00:00:00'], '-R needs -F999'],
    ];
    for (const [args, message] of cases) {
      const run = await world.cmdStandby(standby, args);
      expect(run).toMatchObject({ code: 2, stdout: '' });
      expect(run.stderr).toContain(`ERROR: ${message}`);
      expect(run.stderr).not.toContain('Config OK');
    }
    expect(existsSync(standby.pgdata)).toBe(false);
  });

  test('refuses -F with any value but 999 (bug of the original: any -F value but 999 prints "Config OK" and exits 0)', async ({
    world,
  }) => {
    const { standby } = await backupPair(world);
    for (const value of ['-F0', '-F', '-F9999', '-Fyes']) {
      const run = await world.cmdStandby(standby, [value]);
      expect(run).toMatchObject({ code: 2 });
      expect(run.stdout).not.toContain('Config OK');
    }
  });

  test('checks the INI file if no action is given', async ({ world }) => {
    const { standby } = await backupPair(world);
    expect(await world.cmdStandby(standby, [])).toMatchObject({ code: 0, stdout: 'Config OK\n' });
    chmodSync(standby.iniFile, 0o644);
    for (const action of [[], ['-I'], ['-B']]) {
      const open = await world.cmdStandby(standby, action);
      expect(open).toMatchObject({ code: 3, stdout: '' });
      expect(open.stderr).toContain(`other users can read the password in "${standby.iniFile}" (mode 0644)`);
      expect(open.stderr).toContain(`chmod 0600 ${standby.iniFile}`);
    }
    chmodSync(standby.iniFile, 0o600);
    // As the how-to's INI has them: of versions that are not this one.
    standby.writeIni({ pg_standby: '/usr/lib/postgresql/8.4/bin/pg_standby' });
    expect(await world.cmdStandby(standby, [])).toMatchObject({ code: 0, stdout: 'Config OK\n' });
    standby.writeIni({
      pgversion: '8.4',
      pg_archivecleanup: '/usr/lib/postgresql/9.0/bin/pg_archivecleanup',
    });
    const old = await world.cmdStandby(standby, []);
    expect(old).toMatchObject({ code: 3 });
    expect(old.stderr).toContain('pg_standby: there is no program /usr/lib/postgresql/8.4/bin/pg_standby');
    expect(old.stderr).not.toContain('pg_archivecleanup');
    standby.writeIni({ pgversion: major, pg_standby: undefined, pg_archivecleanup: undefined });
    standby.writeIni({ pg_conf: '/not/there', port: 'x', unknwon: 1 });
    const run = await world.cmdStandby(standby, ['-B']);
    expect(run).toMatchObject({ code: 3 });
    expect(run.stderr).toMatch(/cmd_standby\.ini:\d+: port: "x" is not/);
    expect(run.stderr).toMatch(/cmd_standby\.ini:\d+: unknown key "unknwon"/);
    standby.writeIni({ port: 5432, unknwon: undefined });
    const missing = await world.cmdStandby(standby, []);
    expect(missing).toMatchObject({ code: 3 });
    expect(missing.stderr).toContain('pg_conf: /not/there does not exist');
  });

  test('needs no INI file for --help and --version', async ({ world }) => {
    const { standby } = await backupPair(world, { helpers: 'none' });
    const help = await world.cmdStandby(standby, ['--help', 'all'], { ini: null });
    expect(help).toMatchObject({ code: 0, stderr: '' });
    expect(help.stdout).toContain(
      "cmd_standby -C /etc/cmd_standby.ini -F999 -R '2008-05-28 11:00:38.059389'",
    );
    expect(await world.cmdStandby(standby, ['--version'], { ini: null })).toMatchObject({ code: 0 });
  });
});
