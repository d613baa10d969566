import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import { eventually } from '../harness/eventually.ts';
import { type Host, writeScript } from '../harness/host.ts';
import { writeIni } from '../harness/ini.ts';
import { clientProgram, testMajors } from '../harness/postgres-programs.ts';
import { archivingSettings, type Primary } from '../harness/primary.ts';
import { processesOf } from '../harness/process-table.ts';
import { killAll, start } from '../harness/processes.ts';
import type { Standby } from '../harness/standby.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import {
  archivedBytes,
  archivedFiles,
  type FakeCluster,
  fakeCluster,
  prepareArchive,
  writeControlFile,
} from './archiver-cluster.ts';
import { installHelpers } from './backup-kit.ts';
import { copyBaseBackup, countRows, expectExit } from './standby-kit.ts';

// The earlier releases need Python 2, which no system of today has. What they did to files is done here by the same
// command lines, and what they left behind is made file by file.

/** The part of cmd_archiver 1.3 that -F runs: the queue by rsync, then the segment; into the queue what cannot be sent. */
function archiver13(host: Host, lArchiveDir: string, to: string): string {
  const ssh = `${host.ssh} -o ConnectTimeout=5 -o StrictHostKeyChecking=no`;
  return writeScript(
    host,
    'cmd_archiver-1.3',
    `queue='${join(lArchiveDir, 'standby1')}'
if [ -n "$(ls -A "$queue")" ]; then
  rsync -z -aq --remove-source-files -e '${ssh}' "$queue/" '${to}/' || exec rsync "$1" "$queue"
fi
rsync -z -q -e '${ssh}' "$1" '${to}' || exec rsync "$1" "$queue"`,
  );
}

/** What cmd_queue 1.4 runs for one standby. */
function queue14(cluster: FakeCluster, standby: Host, user: string) {
  const ssh = `${cluster.host.ssh} -o ConnectTimeout=5 -o StrictHostKeyChecking=no`;
  const queue = `${join(cluster.lArchiveDir, standby.name)}/`;
  const to = `${user}@${standby.name}:${standby.archiveDir}/`;
  const args = ['--remove-source-files', '-e', ssh, '-r', queue, to, '-z', '-q'];
  return start('rsync', args, { env: cluster.host.env }).finished;
}

/** What a killed rsync leaves beside the files that it copies. */
function leaveUnfinished(directory: string, name: string): void {
  writeFileSync(join(directory, `.${name}.Ab3dEf`), 'half a segment');
}

interface OldPair {
  readonly primary: Primary;
  readonly standby: Standby;
  /** The archive_command of 1.3. */
  readonly oldCommand: string;
}

/** recovery.conf as `cmd_standby -S` of 1.3 wrote it for a streaming standby. */
function recoveryConf13({ primary, standby }: OldPair): string {
  const { archiveDir, user } = standby;
  const conninfo = `host=${primary.host.address} port=${primary.port} user=${user} sslmode=prefer password=replication `;
  return `standby_mode = 'on'
primary_conninfo = '${conninfo}'
trigger_file = '${join(standby.pgdata, 'cmd_end_recovery')}'
restore_command = 'cp ${archiveDir}/%f "%p"' 
archive_cleanup_command = '${clientProgram('pg_archivecleanup')} ${archiveDir} %r' `;
}

/** `cmd_standby -S` of 1.3: its files, then pg_ctl. */
async function startAs13(pair: OldPair): Promise<void> {
  const { standby } = pair;
  for (const name of ['postgresql.conf', 'pg_hba.conf'])
    copyFileSync(join(standby.host.directory, 'etc', 'pg_conf', name), join(standby.pgdata, name));
  writeFileSync(join(standby.pgdata, 'recovery.conf'), recoveryConf13(pair));
  await standby.start();
}

/** Both hosts as 1.3 has left them: INI files, a streaming standby, an archive, and a queue of three segments. */
async function pairOf13(
  world: World,
  before?: (world: World, pair: OldPair) => Promise<void>,
): Promise<OldPair> {
  const [host, other] = [await world.host('primary'), await world.host('standby1')];
  const lArchiveDir = join(host.directory, 'l_archive');
  mkdirSync(join(lArchiveDir, 'standby1'), { recursive: true });
  mkdirSync(other.archiveDir);
  const script = archiver13(host, lArchiveDir, `${world.user}@standby1:${other.archiveDir}`);
  const oldCommand = `${script} %p`;
  const primary = await world.startPrimary({
    slaves: ['standby1'],
    settings: { archive_command: oldCommand },
    ini: { slaves: "'standby1'", rsync_flags: '-z', rsync_version: 3, ssh_debug: 'off' },
  });
  const ini = { use_streaming_replication: 'on', numarchives: 10, sslmode: 'prefer', start_timeout: 30 };
  const standby = await world.addStandby('standby1', primary, { ini });
  const pair: OldPair = { primary, standby, oldCommand };
  await primary.sql('CREATE TABLE rows (id serial PRIMARY KEY)');
  await copyBaseBackup(primary, standby);
  await startAs13(pair);
  await addRows(pair, 10);
  await standby.received(await primary.switchWal());
  await before?.(world, pair);
  await standby.host.sshd.kill();
  for (let segment = 0; segment < 3; segment++) {
    await addRows(pair, 10);
    await primary.archived(await primary.switchWal());
  }
  leaveUnfinished(join(lArchiveDir, 'standby1'), '00000001000000000000000F');
  leaveUnfinished(standby.archiveDir, '00000001000000000000000F');
  await standby.host.sshd.start();
  return pair;
}

/** This release beside 1.3, with directories of its own: one archive_command calls both. */
async function shipBeside(world: World, { primary, standby, oldCommand }: OldPair): Promise<void> {
  const { host } = primary;
  const iniFile = join(host.directory, 'etc', 'beside.ini');
  const archive = join(standby.host.directory, 'beside');
  mkdirSync(archive, { mode: 0o700 });
  const keys = {
    pgdata: primary.pgdata,
    slaves: 'standby1',
    l_archivedir: join(host.directory, 'l_beside'),
    r_archivedir: archive,
    ssh: host.ssh,
    user: world.user,
  };
  writeIni(iniFile, { keys });
  expectExit(await world.cmdArchiver(primary, ['-I'], { ini: iniFile }), 0);
  const ours = `${checkout('bin', 'cmd_archiver')} -C ${iniFile} -F %p`;
  primary.configure({ archive_command: `${oldCommand} && ${ours}` });
  await primary.reload();
  const segment = await primary.switchWal();
  await standby.received(segment);
  await eventually(() => existsSync(join(archive, segment)), { what: `${segment} in ${archive}` });
  await primary.archived(segment);
  const check = await world.cmdArchiver(primary, [], { ini: iniFile });
  expectExit(check, 0);
  expect(check.stdout).toBe('Config OK\n');
  primary.configure({ archive_command: oldCommand });
  await primary.reload();
}

async function addRows({ primary }: OldPair, rows: number): Promise<void> {
  await primary.sql('INSERT INTO rows SELECT FROM generate_series(1, $1::int)', [rows]);
}

/** Every segment up to `last` from the first one that the archive still has. */
function expectNoHole({ standby }: OldPair, last: string): void {
  const numbers = standby
    .archive()
    .filter((name) => name.length === 24)
    .map((name) => Number.parseInt(name.slice(16), 16));
  const first = numbers[0] ?? 0;
  expect(numbers).toEqual(numbers.map((_, index) => first + index));
  expect(numbers.at(-1)).toBe(Number.parseInt(last.slice(16), 16));
}

async function expectRows({ standby }: OldPair, rows: number): Promise<void> {
  await eventually(async () => (await countRows(standby)) === rows, { what: `${rows} rows` });
}

describe.each(testMajors().filter((major) => major < 12))(
  'a pair of release 1.3 on PostgreSQL %i',
  (major) => {
    test.override({ major });

    test('is taken over where it is, with its queue and archive, and given back', async ({ world }) => {
      const pair = await pairOf13(world, shipBeside);
      const { primary, standby, oldCommand } = pair;
      expect(primary.queue('standby1')).toHaveLength(4);

      await installHelpers(primary);
      expectExit(await world.cmdStandby(standby, ['-A', 'stop']), 0);
      const init = await world.cmdStandby(standby, ['-I']);
      expectExit(init, 0);
      expect(init.stdout).toBe('Standby is ready\n');
      const begun = await world.cmdStandby(standby, ['-S']);
      expectExit(begun, 0);
      expect(begun.stdout).toContain('Successfully entered standby mode\n');
      primary.writeIni({ state: 'offline' });
      expectExit(await world.cmdArchiver(primary, ['-I']), 0);
      primary.configure(archivingSettings(primary.host));
      await primary.reload();
      expectExit(await world.cmdArchiver(primary, []), 0);
      primary.writeIni({ state: 'online' });
      await addRows(pair, 10);
      const taken = await primary.switchWal();
      await standby.received(taken);
      await eventually(() => primary.queue('standby1').length === 1, { what: 'an empty queue' });
      expectNoHole(pair, taken);
      await expectRows(pair, 50);
      const check = await world.cmdStandby(standby, []);
      expectExit(check, 0);
      expect(check.stderr).not.toContain('WARNING');

      // The way back, with WAL in the queue again.
      await standby.host.sshd.kill();
      await addRows(pair, 10);
      await primary.archived(await primary.switchWal());
      expect(primary.queue('standby1')).toHaveLength(2);
      primary.configure({ archive_command: oldCommand });
      await primary.reload();
      killAll(
        processesOf(world.directory).filter(({ commandLine }) => / --ship\b/.test(commandLine)),
        'SIGTERM',
      );
      await standby.host.sshd.start();
      expectExit(await world.cmdStandby(standby, ['-A', 'stop']), 0);
      await startAs13(pair);
      // From 11 on; nothing of 1.3 would move it.
      await standby.sql(
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'pitrtools_keep'",
      );
      await addRows(pair, 10);
      const given = await primary.switchWal();
      await standby.received(given);
      await primary.archived(given);
      expectNoHole(pair, given);
      await expectRows(pair, 70);
      expect(primary.queue('standby1')).toEqual([]);
    });

    test('can be failed over before the standby was started anew', async ({ world }) => {
      const { primary, standby } = await pairOf13(world);
      primary.writeIni({ state: 'offline' });
      expectExit(await world.cmdArchiver(primary, ['-I', '--plant', 'standby1']), 0);
      expectExit(await world.cmdArchiver(primary, ['--flush']), 0);
      await primary.kill9();
      const failover = await world.cmdStandby(standby, ['-F999']);
      expectExit(failover, 0);
      expect(failover.stdout).toMatch(/Failover finished\n$/);
      expect(await countRows(standby)).toBe(40);
      expect(primary.queue('standby1')).toHaveLength(1);
    });
  },
);

/** l_archivedir as 1.4 has left it when it was killed: two segments in the queues, one half sorted, one not sorted. */
async function clusterOf14(world: World): Promise<FakeCluster & { readonly segments: readonly string[] }> {
  const cluster = await fakeCluster(world, {
    slaves: ['s1', 's2'],
    ini: {
      includepath: '/usr/bin:/bin',
      rsync_bin: undefined,
      queue_user: world.user,
      queue_wait: 5,
      max_queue_workers: 1,
    },
  });
  for (const host of cluster.standbys) prepareArchive(host, cluster.systemIdentifier);
  const place = (...path: string[]) => join(cluster.lArchiveDir, ...path);
  for (const name of ['s1', 's2']) mkdirSync(place(name), { recursive: true });
  const segments = [1, 2, 3, 4].map((number) => cluster.segment(number));
  for (const [index, name] of segments.entries()) {
    writeFileSync(place(name), cluster.addSegment(name), { mode: 0o600 });
    if (index < 3) linkSync(place(name), place('s1', name));
    if (index < 2) renameSync(place(name), place('s2', name));
  }
  leaveUnfinished(cluster.lArchiveDir, segments[3] ?? '');
  return { ...cluster, segments };
}

describe('l_archivedir of release 1.4', () => {
  test('is refused as long as cmd_queue runs, then sorted into the queues, and sent; 1.4 can send it again', async ({
    world,
  }) => {
    const cluster = await clusterOf14(world);
    const { segments, standbys } = cluster;
    const [s1, s2] = standbys;
    if (s1 === undefined || s2 === undefined) throw new Error('no standby');
    const process = start(writeScript(cluster.host, 'cmd_queue', 'while :; do sleep 1; done'), [], {
      env: cluster.host.env,
    });
    const pidFile = join(cluster.lArchiveDir, 'cmd_queue.pid');
    writeFileSync(pidFile, `${process.pid}\n`);
    const before = readdirSync(cluster.lArchiveDir);
    const refused = await cluster.run(['-I']);
    expectExit(refused, 4);
    expect(refused.stderr).toContain(`cmd_queue of pitrtools 1.4 runs (pid ${process.pid})`);
    expect(readdirSync(cluster.lArchiveDir)).toEqual(before);
    process.killFamily();
    await process.finished;

    const init = await cluster.run(['-I']);
    expectExit(init, 0);
    expect(init.stderr).toContain(
      '2 WAL files that cmd_queue of pitrtools 1.4 had not taken yet are in the queues now',
    );
    for (const name of ['s1', 's2']) expect(cluster.queue(name)).toEqual(segments);
    expect(archivedNames(cluster)).toEqual([]);
    expect((await cluster.run(['-I'])).stderr).not.toContain('cmd_queue');
    expectExit(await cluster.run(['--flush']), 0);
    for (const host of standbys) {
      expect(archivedFiles(host)).toEqual(segments);
      for (const name of segments)
        expect(archivedBytes(host, name).equals(readFileSync(join(cluster.pgdata, 'pg_wal', name)))).toBe(
          true,
        );
    }

    await s1.sshd.kill();
    const next = cluster.segment(5);
    cluster.addSegment(next);
    expectExit(await cluster.archive(next), 0);
    expect(cluster.queue('s1')).toEqual([next]);
    await s1.sshd.start();
    expectExit(await queue14(cluster, s1, world.user), 0);
    expect(cluster.queue('s1')).toEqual([]);
    expect(archivedFiles(s1)).toEqual([...segments, next]);
  });

  test('keeps what is no WAL of this cluster, and says so', async ({ world }) => {
    const cluster = await clusterOf14(world);
    const [, damaged = ''] = cluster.segments;
    const foreign = cluster.segment(6);
    writeFileSync(join(cluster.lArchiveDir, foreign), cluster.addSegment(foreign, { systemIdentifier: 99n }));
    // The queues share the file: this one must differ from that of s1.
    rmSync(join(cluster.lArchiveDir, 's2', damaged));
    writeFileSync(join(cluster.lArchiveDir, 's2', damaged), Buffer.alloc(1024 * 1024));
    for (let time = 0; time < 2; time++) {
      const init = await cluster.run(['-I']);
      expectExit(init, 1);
      expect(init.stderr).toContain(foreign);
      expect(init.stderr).toContain(time === 0 ? '2 WAL files of an earlier release' : '1 WAL files');
      expect(archivedNames(cluster)).toEqual([foreign]);
      expect(statSync(join(cluster.lArchiveDir, 's2', `.${damaged}.unusable`)).size).toBe(1024 * 1024);
      expect(cluster.queue('s1')).toEqual(cluster.segments);
      expect(cluster.queue('s2')).not.toContain(damaged);
    }
  });

  test('of another cluster is refused, and stays as it is', async ({ world }) => {
    const cluster = await clusterOf14(world);
    writeControlFile(cluster.pgdata, 98n);
    const refused = await cluster.run(['-I']);
    expectExit(refused, 4);
    expect(refused.stderr).toContain('none of the 5 files in the queues of');
    expect(cluster.queue('s1')).toEqual(cluster.segments.slice(0, 3));
    expect(cluster.queue('s2')).toEqual(cluster.segments.slice(0, 2));
  });

  test('is not mistaken: WAL of an archive of this host stays, and WAL of an unknown origin', async ({
    world,
  }) => {
    const cluster = await clusterOf14(world);
    cluster.writeIni({ queue_user: undefined, queue_wait: undefined, max_queue_workers: undefined });
    const unknown = await cluster.run(['-I']);
    expectExit(unknown, 0);
    expect(unknown.stderr).toContain(
      `${cluster.lArchiveDir} itself holds 2 WAL files, which no standby gets`,
    );
    expect(archivedNames(cluster)).toHaveLength(2);
    cluster.writeIni({ queue_wait: 5 });
    writeFileSync(join(cluster.lArchiveDir, '.pitrtools'), 'system_identifier: 1\n');
    expect((await cluster.run(['-I'])).stderr).not.toContain('WAL files');
    expect(archivedNames(cluster)).toHaveLength(2);
  });
});

/** WAL in l_archivedir itself. */
function archivedNames(cluster: FakeCluster): string[] {
  return readdirSync(cluster.lArchiveDir)
    .filter((name) => /^[0-9A-F]{24}$/.test(name))
    .sort();
}
