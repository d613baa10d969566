import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { writeScript } from '../harness/host.ts';
import { hangingListener, packetSink } from '../harness/network.ts';
import { failureMajors, serverProgram } from '../harness/postgres-programs.ts';
import { mustRun } from '../harness/processes.ts';
import { test } from '../harness/test.ts';
import { leftOver, sentinelText, startedPair, timelineOf } from './failover-kit.ts';
import { archiveRows, countRows, expectExit } from './standby-kit.ts';

describe.each(failureMajors())('-F999 on PostgreSQL %i with problems', (major) => {
  test.override({ major });

  test('exits 5 if action_failover fails, and reports that the failover has happened', async ({ world }) => {
    const { primary, standby } = await startedPair(world, 10);
    standby.writeIni({
      action_failover: writeScript(
        standby.host,
        'failing.sh',
        `echo "$PITRTOOLS_TIMELINE $PITRTOOLS_REPEATED $1" > '${standby.host.directory}/facts'; echo no such address >&2; exit 3`,
      ),
    });
    await primary.kill9();

    const run = await world.cmdStandby(standby, ['-F999']);
    expectExit(run, 5);
    expect(run.stdout).toContain('Failover finished\n');
    expect(run.stderr).toContain('action_failover failed: exit status 3: no such address');
    const facts = join(standby.host.directory, 'facts');
    expect(readFileSync(facts, 'utf8')).toMatch(/^2 no failed over to .*, timeline 2\n$/);
    expect(await standby.inRecovery()).toBe(false);

    // -F999 runs it until it succeeds, and repeats nothing else.
    const postmaster = standby.postmaster();
    writeScript(standby.host, 'failing.sh', `echo "$PITRTOOLS_TIMELINE $PITRTOOLS_REPEATED $1" > '${facts}'`);
    const again = await world.cmdStandby(standby, ['-F999']);
    expectExit(again, 0);
    expect(again.stderr).toContain('an earlier run began action_failover and did not see it succeed');
    expect(readFileSync(facts, 'utf8')).toMatch(/^2 yes failed over to .*, timeline 2\n$/);
    expect(standby.postmaster()).toBe(postmaster);
    const third = await world.cmdStandby(standby, ['-F999']);
    expectExit(third, 4);
    expect(third.stderr).toContain('was failed over already');
  });

  test('waits for the rest of action_failover and runs it again if a run was killed during it', async ({
    world,
  }) => {
    const { primary, standby } = await startedPair(world, 10);
    const at = (name: string): string => join(standby.host.directory, name);
    standby.writeIni({
      action_failover: writeScript(
        standby.host,
        'slow.sh',
        `echo "$PITRTOOLS_REPEATED" >> '${at('runs')}'; until [ -e '${at('release')}' ]; do sleep 0.05; done`,
      ),
    });
    await primary.kill9();
    const first = world.startStandby(standby, ['-F999']);
    await eventually(() => existsSync(at('runs')));
    first.signal('SIGKILL');
    await first.finished;

    const second = world.startStandby(standby, ['-F999']);
    await eventually(() => second.output().includes('action_failover of an earlier run still runs'));
    expect(readFileSync(at('runs'), 'utf8')).toBe('no\n');
    writeFileSync(at('release'), '');
    const run = await second.finished;
    expectExit(run, 0);
    expect(run.stdout).toContain('Failover finished\n');
    expect(readFileSync(at('runs'), 'utf8')).toBe('no\nyes\n');
    expectExit(await world.cmdStandby(standby, ['-F999']), 4);
  });

  test('completes the remaining steps if a run was killed at any step after the promotion', async ({
    world,
  }) => {
    const { primary, standby } = await startedPair(world, 10, {
      failoverSettings: { work_mem: '7MB' },
    });
    await primary.kill9();
    // No run comes to its end before it is killed.
    const at = (name: string): string => join(standby.host.directory, name);
    const action = `echo "$PITRTOOLS_REPEATED" >> '${at('runs')}'; until [ -e '${at('release')}' ]; do sleep 0.05; done`;
    standby.writeIni({ action_failover: writeScript(standby.host, 'slow.sh', action) });
    const steps = [
      'verify that it takes a write',
      'record that the server is out of recovery',
      'mark the archive as promoted',
      'remove our recovery settings',
      'into force, by reload',
      'mark the history',
      'check where the promoted server',
      'run action_failover',
    ];
    for (const step of steps) {
      const run = world.startStandby(standby, ['-F999']);
      // A kill that came late leaves the action alone to be done.
      const reached = [step, 'run action_failover', 'still runs'];
      await eventually(() => reached.some((words) => run.output().includes(words)));
      run.signal('SIGKILL');
      expect((await run.finished).code, run.output()).toBe(null);
    }
    writeFileSync(at('release'), '');
    expectExit(await world.cmdStandby(standby, ['-F999']), 0);
    expect(readFileSync(at('runs'), 'utf8')).toMatch(/yes\n$|^no\n$/);
    expect(await standby.inRecovery()).toBe(false);
    expect(await standby.value('SHOW work_mem')).toBe('7MB');
    expect(leftOver(standby)).toEqual([]);
    expect(sentinelText(standby)).toContain('promoted_at_timeline: 2\n');
    expect(await timelineOf(standby)).toBe(2);
    expect(await countRows(standby)).toBe(10);
    const again = await world.cmdStandby(standby, ['-F999']);
    expectExit(again, 4);
    expect(again.stderr).toContain('was failed over already');
  });

  test("takes no longer than the limit if the primary's address drops all packets", async ({ world }) => {
    const { primary, standby } = await startedPair(world, 10, { ini: { action_failover: undefined } });
    await primary.kill9();
    const port = await packetSink({ address: primary.host.address, port: primary.port });
    world.onClose(() => port.close());
    const ssh = await packetSink({ address: primary.host.address });
    world.onClose(() => ssh.close());
    standby.host.routeTo(primary.host, ssh);

    const run = await world.cmdStandby(standby, ['-F999'], { limitMs: 120_000 });
    expect(run).toMatchObject({ code: 0, timedOut: false });
    expect(run.stderr).toContain('no answer within 3 s');
    expect(run.stderr).toContain('this does not prove that it is down');
    expect(await countRows(standby)).toBe(10);
  });

  test('treats a primary that accepts connections and does not answer as alive, and does not wait for it', async ({
    world,
  }) => {
    const { primary, standby } = await startedPair(world, 10);
    await primary.kill9();
    const silent = await hangingListener({ address: primary.host.address, port: primary.port });
    world.onClose(() => silent.close());
    const ssh = await hangingListener({ address: primary.host.address });
    world.onClose(() => ssh.close());
    standby.host.routeTo(primary.host, ssh);

    const run = await world.cmdStandby(standby, ['-F999'], { limitMs: 120_000 });
    expect(run).toMatchObject({ code: 4, timedOut: false });
    expect(run.stderr).toContain('and does not answer: a hung server or a proxy');
    expect(await standby.inRecovery()).toBe(true);
  });

  test('resumes a paused replay, and commits after it wait for no other standby', async ({ world }) => {
    const { primary, standby } = await startedPair(world, 10, {
      failoverSettings: { synchronous_standby_names: 'nobody' },
    });
    await eventually(async () => (await countRows(standby)) === 10);
    await standby.sql('SELECT pg_wal_replay_pause()');
    await archiveRows({ primary, standby }, 200);
    await primary.kill9();

    expectExit(await world.cmdStandby(standby, ['-F999']), 0);
    expect(await countRows(standby)).toBe(200);
    expect(await standby.value('SHOW synchronous_standby_names')).toBe('nobody');
  });

  test('does not take an archive that cannot be read for the end of the WAL', async ({ world }) => {
    const { primary, standby } = await startedPair(world, 10);
    await primary.kill9();
    const sentinel = sentinelText(standby);
    rmSync(join(standby.archiveDir, '.pitrtools'));

    const run = await world.cmdStandby(standby, ['-F999']);
    expectExit(run, 4);
    expect(run.stderr).toContain('the archive cannot be read');
    expect(await standby.inRecovery()).toBe(true);

    writeFileSync(join(standby.archiveDir, '.pitrtools'), sentinel);
    expectExit(await world.cmdStandby(standby, ['-F999']), 0);
    expect(await countRows(standby)).toBe(10);
  });

  test('does not take a missing segment for the end of the WAL', async ({ world }) => {
    const { primary, standby } = await startedPair(world, 10);
    await eventually(async () => (await countRows(standby)) === 10);
    await standby.stop();
    const middle = await archiveRows({ primary, standby }, 20);
    await archiveRows({ primary, standby }, 30);
    await primary.kill9();
    const bytes = standby.archivedBytes(middle);
    rmSync(join(standby.archiveDir, middle));

    const run = await world.cmdStandby(standby, ['-F999']);
    expectExit(run, 4);
    expect(run.stderr).toContain(`segment ${middle} is missing`);
    expect(standby.isRunning()).toBe(false);

    writeFileSync(join(standby.archiveDir, middle), bytes);
    expectExit(await world.cmdStandby(standby, ['-F999']), 0);
    expect(await countRows(standby)).toBe(30);
  });

  test('promotes a streaming standby whose primary drops all packets, and leaves no signal file', async ({
    world,
  }) => {
    const { primary, standby } = await startedPair(world, 10, {
      ini: { use_streaming_replication: 'on' },
    });
    await eventually(async () => (await countRows(standby)) === 10);
    await primary.kill9();
    const port = await packetSink({ address: primary.host.address, port: primary.port });
    world.onClose(() => port.close());
    if (major >= 12) writeFileSync(join(standby.pgdata, 'recovery.signal'), '');

    const run = await world.cmdStandby(standby, ['-F999'], { limitMs: 120_000 });
    expectExit(run, 0);
    expect(leftOver(standby)).toEqual([]);
    await standby.restart();
    expect(await timelineOf(standby)).toBe(2);
  });

  test('waits until it sees the promotion, and a killed run is completed by the next (bug of the original: promotion assumed after a two-second sleep)', async ({
    world,
  }) => {
    const { primary, standby } = await startedPair(world, 10);
    await primary.kill9();
    const first = world.startStandby(standby, ['-F999']);
    await eventually(() => first.output().includes('promote the server'));
    first.killFamily();
    await first.finished;

    const second = await world.cmdStandby(standby, ['-F999']);
    expectExit(second, 0);
    expect(await standby.inRecovery()).toBe(false);
    expect(await timelineOf(standby)).toBe(2);
    expect(leftOver(standby)).toEqual([]);
    expect(sentinelText(standby)).toContain('promoted_at_timeline: 2\n');
    expect(standby.failoverActions()).toBe(1);
  });

  test('restarts the server for settings that need it, and a broken configuration does not keep the server down', async ({
    world,
  }) => {
    const { primary, standby } = await startedPair(world, 10, {
      failoverSettings: { max_connections: 41 },
    });
    const conf = join(standby.host.directory, 'etc', 'pg_conf_failover', 'postgresql.conf');
    const good = readFileSync(conf, 'utf8');
    writeFileSync(conf, `${good}no such line\n`);
    await primary.kill9();

    const postmaster = standby.postmaster();
    const broken = await world.cmdStandby(standby, ['-F999']);
    expect(standby.postmaster()).toBe(postmaster);
    expect(broken.stderr).toContain('it runs with its former one');
    expectExit(broken, 1);
    expect(broken.stderr).toContain('the failover has happened, but was not finished');
    expect(await standby.inRecovery()).toBe(false);
    expect(await standby.value('SHOW max_connections')).toBe('40');

    writeFileSync(conf, good);
    expectExit(await world.cmdStandby(standby, ['-F999']), 0);
    expect(await standby.value('SHOW max_connections')).toBe('41');
    expect(await countRows(standby)).toBe(10);
  });

  test('makes the server use the configuration files directly with no_copy_conf', async ({ world }) => {
    const { primary, standby } = await startedPair(world, 10, {
      ini: { no_copy_conf: 'on' },
      settings: { work_mem: '5MB' },
      failoverSettings: { work_mem: '6MB' },
    });
    expect(existsSync(join(standby.pgdata, 'postgresql.conf'))).toBe(false);
    expect(await standby.value('SHOW work_mem')).toBe('5MB');
    await primary.kill9();

    expectExit(await world.cmdStandby(standby, ['-F999']), 0);
    expect(await standby.value('SHOW work_mem')).toBe('6MB');
    expect(await standby.value('SHOW hba_file')).toContain('/etc/pg_conf_failover/pg_hba.conf');
    expect(await countRows(standby)).toBe(10);
  });

  test('completes the steps after the promotion of a server that was promoted by hand', async ({ world }) => {
    const { primary, standby } = await startedPair(world, 10, {
      failoverSettings: { work_mem: '7MB' },
    });
    await primary.kill9();
    await mustRun(serverProgram(major, 'pg_ctl'), ['-D', standby.pgdata, 'promote'], { env: standby.env });
    await eventually(async () => !(await standby.inRecovery()));

    const run = await world.cmdStandby(standby, ['-F999']);
    expectExit(run, 0);
    expect(run.stderr).toContain('out of recovery already');
    expect(await standby.value('SHOW work_mem')).toBe('7MB');
    expect(standby.failoverActions()).toBe(1);
  });
});
