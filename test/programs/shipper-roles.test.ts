import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import { eventually } from '../harness/eventually.ts';
import type { Host } from '../harness/host.ts';
import { writeIni } from '../harness/ini.ts';
import { clientProgram, failureMajors, testMajors } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import { mustRun } from '../harness/processes.ts';
import type { Standby } from '../harness/standby.ts';
import { test } from '../harness/test.ts';
import { archivedFiles, prepareArchive } from './archiver-cluster.ts';
import { installHelpers } from './backup-kit.ts';
import { shipperPids, systemIdentifierOf } from './shipper-kit.ts';
import { archiveRows, copyBaseBackup, countRows, expectExit, writeSentinelFor } from './standby-kit.ts';

function criticals(host: Host): string[] {
  return host
    .notifications()
    .filter(({ severity }) => severity === 'critical')
    .map(({ message }) => message);
}

/** What a plain rsync makes of the question whether this file belongs there: nothing. It is taken away again. */
async function expectNaiveTakesIt(file: string, archive: string): Promise<void> {
  const place = join(archive, 'naive');
  await mustRun('/usr/bin/rsync', ['-a', file, place]);
  rmSync(place);
}

async function makeRow(server: Primary | Standby, row: number): Promise<string> {
  await server.sql('INSERT INTO rows VALUES ($1)', [row]);
  return server.switchWal();
}

/** An INI by which the promoted standby would ship to itself, as one that was copied from the primary makes it do. */
function iniOfItsOwn(standby: Standby, user: string): { file: string; queue: string } {
  const { host } = standby;
  const file = join(host.directory, 'etc', 'own_archiver.ini');
  const place = join(host.directory, 'own_l_archive');
  const keys = {
    pgdata: standby.pgdata,
    slaves: standby.name,
    r_archivedir: standby.archiveDir,
    l_archivedir: place,
    ssh: host.ssh,
    user,
    ssh_timeout: 5,
    notify_critical: host.notify('critical'),
  };
  writeIni(file, { keys, sections: { [standby.name]: { host: host.address } } });
  return { file, queue: join(place, standby.name) };
}

describe.each(failureMajors())('the archive after a failover on PostgreSQL %i', (major) => {
  test.override({ major });

  test('gets no WAL from the restarted old primary, nor from a new primary that lists itself', async ({
    world,
  }) => {
    const primary = await world.startPrimary({ slaves: ['standby1'] });
    const host = await world.host('standby1');
    const command = `${checkout('bin', 'cmd_archiver')} -C ${join(host.directory, 'etc', 'own_archiver.ini')} -F %p`;
    const standby = await world.addStandby('standby1', primary, {
      ini: { wal_timeout: 20, start_timeout: 30, failover_probe_timeout: 2 },
      failoverSettings: { archive_mode: true, archive_command: command },
    });
    expectExit(await world.cmdArchiver(primary, ['-I']), 0);
    await installHelpers(primary);
    await primary.sql('CREATE TABLE rows (id int PRIMARY KEY)');
    for (const args of [['-I'], ['-B'], ['-S']]) expectExit(await world.cmdStandby(standby, args), 0);
    await archiveRows({ primary, standby }, 10);
    await eventually(async () => (await countRows(standby)) === 10);
    const own = iniOfItsOwn(standby, world.user);
    expectExit(await world.cmdArchiver(primary, ['-I'], { ini: own.file }), 0);

    await primary.kill9();
    const failover = await world.cmdStandby(standby, ['-F999']);
    expectExit(failover, 0);
    expect(failover.stderr).toContain('its list of standbys contains "standby1", which is this host');
    const before = standby.archive();
    const newer = await makeRow(standby, 11);
    await eventually(() => readdirSync(own.queue).includes(newer), { what: `${newer} queued` });
    await eventually(() => criticals(host).some((message) => message.includes('was promoted')));

    await primary.start();
    const stale = await makeRow(primary, 11);
    const copy = primary.copyOfSegment(stale);
    await expectNaiveTakesIt(copy, standby.archiveDir);
    await primary.archived(stale);
    await eventually(() => primary.queue('standby1').includes(stale));
    await eventually(() => criticals(primary.host).some((message) => message.includes('was promoted')));
    // Not by hand either.
    expectExit(await world.cmdArchiver(primary, ['--flush']), 1);
    expect(standby.archive()).toEqual(before);
  });
});

/** Debian's tools are of one version only. */
const hasRewind = testMajors().includes(15);

/** Makes the old primary follow the new one, as pg_rewind does it. */
async function rewind(old: Primary, source: Standby): Promise<void> {
  await old.stop();
  const own = ['postgresql.conf', 'pg_hba.conf'].map((name) => join(old.pgdata, name));
  const contents = own.map((file) => readFileSync(file));
  const server = `host=${source.socketDirectory} port=${source.port} user=${source.user} dbname=postgres`;
  await mustRun(clientProgram('pg_rewind'), ['-D', old.pgdata, `--source-server=${server}`], {
    env: old.env,
  });
  for (const [index, file] of own.entries()) writeFileSync(file, contents[index] ?? '');
  rmSync(join(old.pgdata, 'postgresql.auto.conf'), { force: true });
  old.configure({ primary_conninfo: server, recovery_target_timeline: 'latest' });
  writeFileSync(join(old.pgdata, 'standby.signal'), '');
  await old.start();
}

test.skipIf(!hasRewind)(
  'an old primary that was turned into a standby by pg_rewind delivers nothing from its queue',
  async ({ world }) => {
    const primary = await world.startPrimary({
      slaves: ['s2'],
      settings: { wal_log_hints: true, wal_keep_size: '256MB' },
    });
    const s2 = await world.host('s2');
    expectExit(await world.cmdArchiver(primary, ['-I']), 0);
    const standby = await world.addStandby('standby1', primary, {
      ini: { use_streaming_replication: 'on', failover_probe_timeout: 2 },
    });
    writeSentinelFor(standby, primary);
    await primary.sql('CREATE TABLE rows (id int PRIMARY KEY)');
    await copyBaseBackup(primary, standby);
    await s2.sshd.kill();
    await primary.archived(await primary.switchWal());
    // The backup ends in WAL that only the archive has: s2 stands for every other standby.
    for (const name of primary.queue('s2')) {
      await mustRun('/usr/bin/cp', [join(primary.lArchiveDir, 's2', name), standby.archiveDir]);
    }
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    await makeRow(primary, 1);
    await eventually(async () => (await countRows(standby)) === 1);
    await primary.kill9();
    expectExit(await world.cmdStandby(standby, ['-F999']), 0);
    await standby.sql('INSERT INTO rows VALUES (2)');

    await primary.start();
    const stale = await makeRow(primary, 3);
    await primary.archived(stale);
    expect(primary.queue('s2')).toContain(stale);
    await rewind(primary, standby);
    // The last stop of the server may have ended a segment more.
    const queue = primary.queue('s2');
    expect(queue).toContain(stale);
    await eventually(async () => (await countRows(primary)) === 2, { what: 'the new history' });
    // The shipper that was there sees whose server this is now.
    await eventually(() => shipperPids(primary.host).length === 0, { what: 'the end of the shipper' });

    prepareArchive(s2, await systemIdentifierOf(primary));
    await s2.sshd.start();
    await expectNaiveTakesIt(join(primary.lArchiveDir, 's2', stale), s2.archiveDir);
    const ship = await world.cmdArchiver(primary, ['--ship']);
    expect(ship.stderr).toContain('is a standby');
    const flush = await world.cmdArchiver(primary, ['--flush']);
    expectExit(flush, 1);
    expect(flush.stdout + flush.stderr).toContain('in recovery');
    expect(archivedFiles(s2)).toEqual([]);
    expect(primary.queue('s2')).toEqual(queue);
  },
);
