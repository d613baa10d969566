import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import { hangingListener } from '../harness/network.ts';
import { run } from '../harness/processes.ts';
import { test } from '../harness/test.ts';
import {
  fakeCluster,
  prepareArchive,
  readyCluster,
  sentinelText,
  writeControlFile,
} from './archiver-cluster.ts';

describe('cmd_archiver -I', () => {
  test('prints the same lines as the how-to and makes the queues', async ({ world }) => {
    const cluster = await fakeCluster(world, { slaves: ['bitarena-clone'] });
    const result = await cluster.run(['-I']);
    expect(result.code).toBe(0);
    expect(result.stdout).toBe(
      'We are initializing queues, one moment.\n\n' +
        'NOTICE: init_env_func()\n' +
        'NOTICE: generate_slave_list_func()\n' +
        "NOTICE: Your slaves are: ['bitarena-clone']\n",
    );
    for (const path of ['', 'bitarena-clone', '.archiver', '.archiver/tmp']) {
      expect(statSync(join(cluster.lArchiveDir, path)).mode & 0o777).toBe(0o700);
    }
    const pinned = readFileSync(join(cluster.lArchiveDir, '.archiver', 'system_identifier'), 'utf8');
    expect(pinned).toBe(`${cluster.systemIdentifier.toString()}\n`);
  });

  test('makes the queue of a standby that was added later (bug of the original: -I refuses to add a standby later)', async ({
    world,
  }) => {
    const cluster = await readyCluster(world, { slaves: ['s1'] });
    await cluster.standbys[0]?.sshd.kill();
    const name = cluster.segment(1);
    const bytes = cluster.addSegment(name);
    expect((await cluster.archive(name)).code).toBe(0);
    await world.host('s2');
    cluster.writeIni({ slaves: 's1,s2' });
    const result = await cluster.run(['-I']);
    expect(result).toMatchObject({ code: 0 });
    expect(result.stdout).toContain("Your slaves are: ['s1', 's2']");
    expect(cluster.queue('s1')).toEqual([name]);
    expect(readFileSync(join(cluster.lArchiveDir, 's1', name)).equals(bytes)).toBe(true);
    expect(cluster.queue('s2')).toEqual([]);
  });

  test('writes a sentinel into an archive directory that exists and has none', async ({ world }) => {
    const cluster = await fakeCluster(world, { slaves: ['s1', 's2', 's3'] });
    const [s1, s2, s3] = cluster.standbys;
    if (s1 === undefined || s2 === undefined || s3 === undefined) throw new Error('no standby');
    mkdirSync(s1.archiveDir, { mode: 0o700 });
    const promoted = `${sentinelText(cluster.systemIdentifier, 's2')}promoted_at_timeline: 2\n`;
    mkdirSync(s2.archiveDir, { mode: 0o700 });
    writeFileSync(join(s2.archiveDir, '.pitrtools'), promoted);
    const result = await cluster.run(['-I']);
    expect(result.code).toBe(0);
    expect(readFileSync(join(s1.archiveDir, '.pitrtools'), 'utf8')).toBe(
      `system_identifier: ${cluster.systemIdentifier.toString()}\nstandby: s1\nprimary_pgdata: ${cluster.pgdata}\n`,
    );
    expect(readdirSync(s1.archiveDir)).toEqual(['.pitrtools']);
    expect(readFileSync(join(s2.archiveDir, '.pitrtools'), 'utf8')).toBe(promoted);
    expect(result.stderr).toMatch(/standby s2 was promoted/);
    expect(result.stderr).toMatch(/standby s3 has no directory/);
    cluster.addSegment(cluster.segment(1));
    expect((await cluster.archive(cluster.segment(1))).code).toBe(0);
    expect(cluster.queue('s1')).toEqual([]);
  });

  test('reports an archive directory of another cluster as an error', async ({ world }) => {
    const cluster = await fakeCluster(world, { slaves: ['s1'] });
    const [s1] = cluster.standbys;
    if (s1 === undefined) throw new Error('no standby');
    prepareArchive(s1, 99n);
    const result = await cluster.run(['-I']);
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/on standby s1 belongs to another cluster \(99\)/);
    expect(readFileSync(join(s1.archiveDir, '.pitrtools'), 'utf8')).toContain('99');
  });

  test('does not wait long for standbys that are down or do not answer', async ({ world }) => {
    const cluster = await fakeCluster(world, { slaves: ['s1', 's2'], ini: { ssh_timeout: 2 } });
    const [s1, s2] = cluster.standbys;
    if (s1 === undefined || s2 === undefined) throw new Error('no standby');
    await s1.sshd.kill();
    const silent = await hangingListener();
    world.onClose(() => silent.close());
    cluster.host.routeTo(s2, silent);
    const result = await cluster.run(['-I']);
    expect(result.code).toBe(0);
    // By itself the one that hangs would never end.
    expect(result.timedOut).toBe(false);
    expect(result.stderr).toMatch(/standby s1 was not reached/);
    expect(result.stderr).toMatch(/standby s2 was not reached/);
  });

  test('refuses an l_archivedir that belongs to another cluster', async ({ world }) => {
    const cluster = await readyCluster(world, { slaves: ['s1'] });
    writeControlFile(cluster.pgdata, 99n);
    const result = await cluster.run(['-I']);
    expect(result.code).toBe(4);
    expect(result.stderr).toMatch(/belongs to cluster 7000000000000000001/);
    expect(result.stdout).not.toContain('Your slaves are');
  });

  test('refuses a directory of another owner', async ({ world }) => {
    const cluster = await fakeCluster(world, { slaves: ['s1'], ini: { l_archivedir: '/usr/share' } });
    const result = await cluster.run(['-I']);
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/"\/usr\/share" belongs to user 0, not to us/);
    const closed = join(cluster.host.directory, 'closed');
    mkdirSync(closed, { mode: 0o500 });
    cluster.writeIni({ l_archivedir: join(closed, 'archive') });
    expect((await cluster.run(['-I'])).stderr).toMatch(/cannot make directory/);
    chmodSync(closed, 0o700);
  });
});

describe('the command line of cmd_archiver', () => {
  test('two actions or an unknown action are an error (bug of the original: they are taken for a check)', async ({
    world,
  }) => {
    const cluster = await readyCluster(world, { slaves: ['s1'] });
    const wrong: [readonly string[], RegExp][] = [
      [['-I', '--flush'], /one action at a time, not -I and --flush/],
      [['--explode'], /unknown option '--explode'/],
      [['-I', 'surplus'], /too many arguments/],
      [['-F'], /argument missing/],
      [['-F', ''], /-F needs the path/],
      [['-I', '--dry-run'], /--dry-run can be used only with/],
    ];
    for (const [args, message] of wrong) {
      const result = await cluster.run(args);
      expect(result).toMatchObject({ code: 2, stdout: '' });
      expect(result.stderr).toMatch(message);
    }
  });

  test('--help and --version need no INI file', async ({ world }) => {
    const program = checkout('bin', 'cmd_archiver');
    const host = await world.host('primary');
    const help = await run(program, ['--help'], { env: host.env });
    expect(help.code).toBe(0);
    for (const option of ['-C', '-I', '-F', '--flush', '--cleanup', '--abandon', '--resume', '--dry-run']) {
      expect(help.stdout).toContain(option);
    }
    const version = await run(program, ['--version'], { env: host.env });
    expect(version.stdout).toMatch(/^\d+\.\d+\.\d+/);
    expect(await run(program, [], { env: host.env })).toMatchObject({ code: 2, stdout: '' });
  });

  test('-C without an action checks the INI file and the paths in it', async ({ world }) => {
    const cluster = await readyCluster(world, { slaves: ['s1'] });
    const stopped = await cluster.run([]);
    expect(stopped).toMatchObject({ code: 0, stdout: 'Config OK\n' });
    expect(stopped.stderr).toBe(
      `NOTICE: no server runs on ${cluster.pgdata}: its archive_command cannot be checked\n`,
    );
    rmSync(cluster.pgdata, { recursive: true });
    cluster.writeIni({ rsync_bin: '/nonexistent/rsync' });
    const result = await cluster.run([], { cwd: cluster.host.directory });
    expect(result).toMatchObject({ code: 3, stdout: '' });
    expect(result.stderr).toMatch(
      /pgdata: .* does not exist; .*rsync_bin: there is no program \/nonexistent/,
    );
  });

  test('the queue of a standby that was removed from the list is reported and not touched', async ({
    world,
  }) => {
    const cluster = await readyCluster(world, { slaves: ['s1'] });
    const name = cluster.segment(1);
    for (const directory of ['gone', 'empty']) mkdirSync(join(cluster.lArchiveDir, directory));
    writeFileSync(join(cluster.lArchiveDir, 'gone', name), cluster.addSegment(name));
    for (const args of [['-I'], []]) {
      const result = await cluster.run(args);
      expect(result.code).toBe(0);
      const mentions = result.stderr.split('\n').filter((line) => line.includes('no standby in slaves'));
      expect(mentions).toEqual([expect.stringMatching(/\/gone is the queue of .*: 1 WAL files, 1 MB;/)]);
    }
    expect(cluster.queue('gone')).toEqual([name]);
  });

  test('every action reports each mistake in the INI file with its line', async ({ world }) => {
    const cluster = await readyCluster(world, { slaves: ['s1'] });
    cluster.writeIni({ ssh_timeout: 'soon', colour: 'blue', l_archivedir: undefined });
    for (const args of [[], ['-I'], ['-F', 'pg_wal/x']]) {
      const result = await cluster.run(args);
      expect(result).toMatchObject({ code: 3, stdout: '' });
      const lines = result.stderr.split('\n').filter((line) => line.startsWith(`${cluster.iniFile}:`));
      expect(lines).toHaveLength(3);
    }
    const twice = await cluster.run(['-I', '-C', '/nonexistent.ini']);
    expect(twice).toMatchObject({ code: 2 });
    expect(twice.stderr).toContain('--config is given twice');
  });
});
