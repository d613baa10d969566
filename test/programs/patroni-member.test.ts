import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { newestMajors } from '../harness/postgres-programs.ts';
import { archivingSettings, type Primary } from '../harness/primary.ts';
import { test } from '../harness/test.ts';
import { installHelpers } from './backup-kit.ts';
import { addRows, hasRows, makeStandby, timelineOf } from './matrix-kit.ts';
import { holdsNoGap, patroniOn, replicaWords, restoreCommand, writeAsPatroni } from './patroni-kit.ts';
import { makeTrio, startStandbys } from './siblings-kit.ts';
import { countRows, expectExit } from './standby-kit.ts';

const limits = { wal_timeout: 120, start_timeout: 120, ssh_timeout: 20 };
const run = promisify(execFile);

/** As Patroni runs archive_command and restore_command before pg_rewind: without a shell, from a directory of its own. */
async function runWithoutShell(command: string, path: string): Promise<void> {
  const name = path.slice(path.lastIndexOf('/') + 1);
  const [program = '', ...args] = command.replace('%p', path).replace('%f', name).split(' ');
  await run(program, args, { cwd: '/' });
}

function marksAt(archiveDir: string): string[] {
  const text = readFileSync(join(archiveDir, '.pitrtools'), 'utf8');
  return text.split('\n').filter((line) => line.startsWith('left: '));
}

describe.each(newestMajors())('a member of Patroni on PostgreSQL %i', (major) => {
  test.override({ major });

  test(
    'is made, leads, and feeds the standby outside; a leader without the lock feeds nobody',
    { timeout: 600_000 },
    async ({ world }) => {
      const m1 = await world.startPrimary({ name: 'm1', slaves: ['m2', 'off'], ini: { ssh_timeout: 20 } });
      const [host1, host2] = [await world.host('m1'), await world.host('m2')];
      let leader = { host: host1.address, port: m1.port };
      const api1 = await patroniOn(world, host1, () => leader);
      const api2 = await patroniOn(world, host2, () => leader);
      api1.isLeader = true;
      m1.writeIni({ patroni_url: api1.url });
      await m1.sql('CREATE TABLE rows (id serial)');
      await installHelpers(m1);
      const m2 = await world.addStandby('m2', m1, {
        // Only --connstring says where the leader is.
        ini: {
          ...limits,
          master_public_ip: 'nowhere.invalid',
          port: 1,
          pg_conf: undefined,
          pg_hba_conf: undefined,
        },
        settings: archivingSettings(host2),
      });
      // The port of the INI file is not that of the leader.
      const off = await world.addStandby('off', m1, {
        ini: {
          ...limits,
          master_public_ip: 'nowhere.invalid',
          port: 1,
          patroni_url: `${api1.url}, ${api2.url}`,
        },
      });
      expectExit(await world.cmdArchiver(m1, ['-I']), 0);
      const connstring = `user=${world.user} host=${host1.address} port=${m1.port} dbname=postgres`;

      // The method, as Patroni calls it: the archive of a new member is marked by it, also one that was made already.
      mkdirSync(m2.archiveDir);
      const made = await world.cmdStandby(m2, replicaWords(m2, connstring), { cwd: '/', limitMs: 300_000 });
      expectExit(made, 0);
      expect(existsSync(join(m2.pgdata, 'backup_label'))).toBe(true);
      expect(existsSync(join(m2.pgdata, 'standby.signal'))).toBe(false);
      expect(m2.isRunning()).toBe(false);
      writeAsPatroni(m2, `user=${world.user} host=${host1.address} port=${m1.port}`);
      await m2.start();
      await makeStandby(world, off);
      await addRows(m1, 100);
      for (const standby of [m2, off]) await standby.received(await m1.switchWal());
      await hasRows(off, 100);

      // Without the lock: PostgreSQL archives into the queues, and nobody gets anything.
      api1.isLeader = false;
      await addRows(m1, 100);
      await hasRows(m2, 200);
      let held = '';
      // The last yes counts for a second.
      await eventually(
        async () => {
          held = await m1.switchWal();
          await m1.archived(held);
          return m1.queue('off').includes(held) && m1.queue('m2').includes(held);
        },
        { limitMs: 120_000, what: 'a segment that is only queued' },
      );
      expect(off.archive()).not.toContain(held);

      // The machine dies, and Patroni promotes m2: it has everything by streaming.
      await eventually(
        async () =>
          (await m2.value('SELECT pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()')) === 'true',
      );
      const second: Primary = await world.asPrimary(m2, ['m1', 'off']);
      second.writeIni({ patroni_url: api2.url, ssh_timeout: 20 });
      expectExit(await world.cmdArchiver(second, ['-I']), 0);
      await m1.kill9();
      expectExit(await world.cmdStandby(m2, ['--patroni-pre-promote'], { cwd: '/' }), 0);
      api2.isLeader = true;
      leader = { host: host2.address, port: m2.port };
      await m2.sql('SELECT pg_promote()');
      for (const event of ['on_role_change', 'on_role_change'])
        expectExit(
          await world.cmdArchiver(second, ['--patroni-callback', event, 'master', 'main'], { cwd: '/' }),
          0,
        );
      await addRows(second, 100);
      await off.received(await second.switchWal());
      await hasRows(off, 300);
      await eventually(() => marksAt(off.archiveDir).length === 1);
      expect(await timelineOf(second)).toBe(2);
      expect(off.archive()).toContain(held);
      holdsNoGap(off.archive());
      // cmd_standby of the standby outside knows the new leader.
      expectExit(await world.cmdStandby(off, ['-P']), 0);
      // And the old leader's queue is not delivered.
      expect(m1.queue('off')).toContain(held);

      // Before pg_rewind Patroni runs archive_command itself for what is ready, with the server down, perhaps twice.
      const wal = join(m1.pgdata, 'pg_wal');
      const [segment = ''] = readdirSync(wal)
        .filter((name) => /^[0-9A-F]{24}$/.test(name))
        .sort();
      const { archive_command: command } = archivingSettings(host1);
      for (let times = 0; times < 2; times++) await runWithoutShell(String(command), join(wal, segment));
      // And restore_command for what pg_rewind lacks.
      const target = join(world.directory, 'restored');
      for (let times = 0; times < 2; times++) {
        await runWithoutShell(restoreCommand(off).replace('%f', held), target);
        expect(readFileSync(target).equals(off.archivedBytes(held))).toBe(true);
        renameSync(target, `${target}.kept`);
        rmSync(`${target}.kept`);
      }
    },
  );

  test(
    'brings what only another standby has, before it is promoted',
    { timeout: 300_000 },
    async ({ world }) => {
      const { primary, heir, other, holdBack, archiveRows } = await makeTrio(world);
      await archiveRows(10);
      await startStandbys(world, heir, other);
      holdBack(heir);
      const segment = await archiveRows(20);
      await primary.kill9();
      expect(heir.archive()).not.toContain(segment);
      for (let times = 0; times < 2; times++)
        expectExit(await world.cmdStandby(heir, ['--patroni-pre-promote'], { cwd: '/' }), 0);
      expect(heir.archive()).toContain(segment);
      await heir.sql('SELECT pg_promote()');
      await eventually(async () => !(await heir.inRecovery()));
      expect(await countRows(heir)).toBe(20);
      // A server that is no standby is not promoted.
      const open = await world.cmdStandby(heir, ['--patroni-pre-promote']);
      expectExit(open, 4);
      expect(open.stderr).toContain('is no standby');
    },
  );

  test('fails, and says why, where no replica can be made', { timeout: 120_000 }, async ({ world }) => {
    const m1 = await world.startPrimary({ name: 'm1', slaves: ['m2'] });
    const m2 = await world.addStandby('m2', m1, { ini: limits });
    const words = replicaWords(m2, '');
    const without = await world.cmdStandby(m2, words);
    expectExit(without, 4);
    expect(without.stderr).toContain('the cluster has no leader now');
    const elsewhere = await world.cmdStandby(m2, [...words, `--datadir=${m1.pgdata}`]);
    expectExit(elsewhere, 4);
    expect(elsewhere.stderr).toContain(`Patroni's data directory is "${m1.pgdata}"`);
    const unknown = await world.cmdStandby(m2, [...words, '--thraeds=4']);
    expectExit(unknown, 2);
    expect(unknown.stderr).toContain('--thraeds');
    expect(existsSync(m2.pgdata)).toBe(false);
    const outside = await world.cmdArchiver(m1, ['--patroni-callback', 'on_role_change', 'master']);
    expectExit(outside, 2);
  });
});
