import {
  appendFileSync,
  existsSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { serverProgram, testMajors, wideMajors } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import { archiveRows, countRows, expectExit, makePair } from './standby-kit.ts';

describe.each(wideMajors())('cmd_standby -S on PostgreSQL %i', (major) => {
  test.override({ major });

  test('starts a warm standby that replays WAL as it arrives in the archive', async ({ world }) => {
    const pair = await makePair(world);
    const { standby } = pair;
    await archiveRows(pair, 10);

    const run = await world.cmdStandby(standby, ['-S']);
    expectExit(run, 0);
    expect(run.stdout).toBe('server starting\nSuccessfully entered standby mode\n');
    expect(run.stderr).toContain('NOTICE: check_pgpid_func()');

    for (const last of [25, 30, 35, 40]) {
      await archiveRows(pair, last);
      await eventually(async () => (await countRows(standby)) === last, { what: 'the rows to arrive' });
    }
    expect(await standby.inRecovery()).toBe(true);
    // From 15 on a server that waits for WAL says so each time, twice a second for as long as it stands by.
    expect(standby.logText()).not.toContain('waiting for WAL to become available');
  });

  test('starts a streaming standby whose password only its owner can read', async ({ world }) => {
    const pair = await makePair(world, {
      ini: { use_streaming_replication: 'on', repl_db_password: "it's 100% \\secret" },
    });
    const { primary, standby } = pair;
    await archiveRows(pair, 10);

    const run = await world.cmdStandby(standby, ['-S']);
    expectExit(run, 0);
    expect(run.stdout + run.stderr).not.toContain('secret');

    await primary.sql('INSERT INTO rows VALUES (11)');
    await eventually(async () => (await countRows(standby)) === 11, { what: 'the row to be streamed' });
    const file = join(standby.pgdata, major < 12 ? 'recovery.conf' : 'postgresql.auto.conf');
    expect(readFileSync(file, 'utf8')).toContain('secret');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(existsSync(join(standby.pgdata, 'standby.signal'))).toBe(major >= 12);
  });

  test.runIf(major >= 12)(
    'names the settings of others that it replaces, and no value',
    async ({ world }) => {
      const { standby } = await makePair(world);
      const file = join(standby.pgdata, 'postgresql.auto.conf');
      appendFileSync(
        file,
        "archive_cleanup_command = 'true %r'\nrestore_command = 'fetch --key secret %f %p'\nwork_mem = '5MB'\n",
      );
      const first = await world.cmdStandby(standby, ['-S']);
      const stop = await world.cmdStandby(standby, ['-A', 'stop']);
      const again = await world.cmdStandby(standby, ['-S']);
      for (const run of [first, stop, again]) expectExit(run, 0);
      const replaced = /^NOTICE: postgresql\.auto\.conf sets (.*), not by us: replaced here, and removed/m;
      expect(replaced.exec(first.stderr)?.[1]?.split(', ')).toContain('restore_command');
      expect(first.stderr).not.toContain('secret');
      expect(again.stderr).not.toMatch(replaced);
      expect(readFileSync(file, 'utf8')).toContain("work_mem = '5MB'");
    },
  );

  test('starts with any characters in pgdata and in logfile: pg_ctl has a shell read both', async ({
    world,
  }) => {
    const { standby } = await makePair(world);
    const odd = (name: string) => join(standby.host.directory, `${name} "a" $HOME \`b\` \\c`);
    const [pgdata, logfile] = [odd('data'), odd('log')];
    renameSync(standby.pgdata, pgdata);
    standby.writeIni({ pgdata, logfile });

    const run = await world.cmdStandby(standby, ['-S']);
    const stop = await world.cmdStandby(standby, ['-A', 'stop']);
    expectExit(run, 0);
    expectExit(stop, 0);
    expect(readFileSync(logfile, 'utf8')).toContain('entering standby mode');
  });

  test('refuses a logfile that pg_ctl could not write, before any change', async ({ world }) => {
    const { standby } = await makePair(world);
    const logfile = join(standby.host.directory, 'missing', 'server.log');
    standby.writeIni({ logfile });

    const run = await world.cmdStandby(standby, ['-S']);
    expectExit(run, 4);
    expect(run.stderr).toContain(`logfile "${logfile}"`);
  });

  test('refuses whatever would fail later, before any change', async ({ world }) => {
    const pair = await makePair(world);
    const { primary, standby } = pair;
    await archiveRows(pair, 10);
    const refused = async (reason: string, args = ['-S']) => {
      const run = await world.cmdStandby(standby, args);
      expectExit(run, 4);
      expect(run.stderr).toContain(reason);
      expect(standby.isRunning()).toBe(false);
    };
    const sentinel = join(standby.archiveDir, '.pitrtools');
    const good = readFileSync(sentinel, 'utf8');

    rmSync(sentinel);
    await refused('cannot use archivedir');
    writeFileSync(sentinel, good.replace(/system_identifier: \d+/, 'system_identifier: 1'));
    await refused('holds WAL of another cluster');
    writeFileSync(sentinel, `${good}promoted_at_timeline: 2\n`);
    await refused('is marked as promoted at timeline 2');
    writeFileSync(sentinel, good);

    const control = join(standby.pgdata, 'global', 'pg_control');
    renameSync(control, `${control}.pitrtools`);
    for (const args of [['-S'], ['-A', 'start'], ['-F999']]) await refused('is incomplete', args);
    renameSync(`${control}.pitrtools`, control);
    await refused('without recovery settings', ['-A', 'start']);

    const other = testMajors().find((one) => one !== major);
    if (other !== undefined) {
      standby.writeIni({ pg_ctl: serverProgram(other, 'pg_ctl') });
      await refused(`is of PostgreSQL ${other}`);
      standby.writeIni({ pg_ctl: serverProgram(major, 'pg_ctl') });
    }
    const plan = await world.cmdStandby(standby, ['-S', '--dry-run']);
    expectExit(plan, 0);
    expect(plan.stdout).toContain('start the server with');
    expect(existsSync(join(standby.pgdata, 'pitrtools.json'))).toBe(false);
    expect(primary.isRunning()).toBe(true);
  });

  test('shows why a server cannot start, and starts it after the mistake was corrected', async ({
    world,
  }) => {
    const pair = await makePair(world, { settings: { shared_preload_libraries: 'no_such_library' } });
    const { standby } = pair;
    await archiveRows(pair, 10);
    const failed = await world.cmdStandby(standby, ['-S']);
    expectExit(failed, 1);
    expect(failed.stderr).toMatch(/is not seen recovering|could not start/);
    expect(failed.stderr).toContain('no_such_library');

    const conf = join(standby.host.directory, 'etc', 'pg_conf', 'postgresql.conf');
    writeFileSync(conf, readFileSync(conf, 'utf8').replace("'no_such_library'", "''"));
    if (standby.isRunning()) expectExit(await world.cmdStandby(standby, ['-A', 'stop']), 0);
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
  });

  test('does not take another server at its port for one that cannot start', async ({ world }) => {
    const pair = await makePair(world, { settings: { shared_buffers: '600MB' } });
    const { primary, standby } = pair;
    await archiveRows(pair, 10);
    appendFileSync(
      join(standby.host.directory, 'etc', 'pg_conf', 'postgresql.conf'),
      `port = ${primary.port}\nunix_socket_directories = '${primary.socketDirectory}'\nlisten_addresses = ''\n`,
    );
    for (const args of [['-S'], ['-A', 'start']]) {
      const run = await world.cmdStandby(standby, args);
      expectExit(run, 1);
      expect(run.stdout).toBe('server starting\n');
      expect(run.stderr).toContain('it has stopped');
      expect(run.stderr).toContain('already exists');
    }
  });

  test('makes the standby report once that the archive is gone, and once that it is back', async ({
    world,
  }) => {
    const pair = await makePair(world);
    const { standby } = pair;
    await archiveRows(pair, 10);
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    await eventually(async () => (await countRows(standby)) === 10);

    const sentinel = join(standby.archiveDir, '.pitrtools');
    renameSync(sentinel, `${sentinel}.away`);
    const said = () => standby.host.notifications().map(({ severity }) => severity);
    await eventually(() => said().length === 1);
    const troubles = () => standby.logText().split('is not the archive of this standby').length - 1;
    const soFar = troubles();
    await eventually(() => troubles() > soFar + 1, { what: 'the server to ask again' });
    expect(await standby.inRecovery()).toBe(true);
    renameSync(`${sentinel}.away`, sentinel);
    await eventually(() => said().length === 2);
    expect(said()).toEqual(['critical', 'ok']);

    await archiveRows(pair, 20);
    await eventually(async () => (await countRows(standby)) === 20);
  });

  test('leaves a standby that -A stop stops and -A start starts as a standby again', async ({ world }) => {
    const pair = await makePair(world, { ini: { logfile: undefined } });
    const { standby } = pair;
    await archiveRows(pair, 10);
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    // Without logfile: the output goes to a file all the same, and not to streams that the server would hold open.
    expect(readFileSync(join(standby.pgdata, 'pitrtools-server.log'), 'utf8')).toContain(
      'entering standby mode',
    );

    const stopped = await world.cmdStandby(standby, ['-A', 'stop']);
    expectExit(stopped, 0);
    expect(stopped.stdout).toBe('server stopped\n');
    expect(standby.isRunning()).toBe(false);
    expectExit(await world.cmdStandby(standby, ['-A', 'stop']), 0);

    const started = await world.cmdStandby(standby, ['-Astart']);
    expectExit(started, 0);
    expect(started.stdout).toBe('server starting\nserver started as a standby\n');
    await eventually(() => standby.inRecovery());
    expectExit(await world.cmdStandby(standby, ['-A', 'start']), 4);
  });

  test('uses the configured commands instead of pg_ctl', async ({ world }) => {
    const pair = await makePair(world);
    const { primary, standby } = pair;
    await archiveRows(pair, 10);
    const pgCtl = `${serverProgram(major, 'pg_ctl')} -D '${standby.pgdata}'`;
    const log = join(standby.host.directory, 'commands.log');
    // Without -l the server holds the command's output for as long as it lives.
    standby.writeIni({
      pg_ctl: '/nonexistent/pg_ctl',
      start_command: `echo start >> ${log}; ${pgCtl} -W start`,
      stop_command: `echo stop >> ${log}; ${pgCtl} -m fast stop`,
      restart_command: `echo restart >> ${log}; ${pgCtl} -m fast restart`,
      promote_command: `echo promote >> ${log}; ${pgCtl} promote`,
    });
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    expectExit(await world.cmdStandby(standby, ['-A', 'stop']), 0);
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    await primary.kill9();
    expectExit(await world.cmdStandby(standby, ['-F999']), 0);
    expect(readFileSync(log, 'utf8')).toBe('start\nstop\nstart\npromote\n');
    expect(await countRows(standby)).toBe(10);
  });
});
