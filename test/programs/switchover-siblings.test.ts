import { chmodSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect } from 'vitest';
import { familyOf } from '../harness/process-table.ts';
import { test } from '../harness/test.ts';
import { expectExit } from './standby-kit.ts';
import { expectTurned, hasRows, insertRows, isPrimary, makeDuo, record } from './switchover-kit.ts';

describe('--switchover with another standby', () => {
  test(
    'makes it follow; if it does not, the next call asks again',
    { timeout: 480_000 },
    async ({ world }) => {
      const duo = await makeDuo(world, {
        streams: false,
        ofOld: { failover_probe_timeout: 15 },
        ofHeir: { failover_probe_timeout: 15 },
        ofOther: { use_streaming_replication: 'on' },
      });
      const { old, oldAsStandby, heir, heirAsPrimary, other } = duo;
      if (other === undefined) throw new Error('there is no other standby');
      await insertRows(old, 100);
      const ini = readFileSync(other.iniFile, 'utf8');
      other.writeIni({ port: 'nonsense' });
      const refused = await world.cmdStandby(heir, ['--switchover']);
      expectExit(refused, 4);
      expect(refused.stderr).toContain('standby other cannot be asked');
      expect(await isPrimary(old)).toBe(true);

      other.writeIni({ port: old.port });
      chmodSync(dirname(other.iniFile), 0o500);
      const unwritable = await world.cmdStandby(heir, ['--switchover', '--dry-run']);
      chmodSync(dirname(other.iniFile), 0o700);
      expectExit(unwritable, 4);
      expect(unwritable.stderr).toContain(`other cannot follow this host: cannot change "${other.iniFile}"`);
      other.writeIni({ port: 'nonsense' });

      const first = await world.cmdStandby(heir, ['--switchover', '--force=sibling-unasked']);
      expectExit(first, 1);
      expect(first.stdout).toContain(`${old.host.address} follows this host`);
      expect(first.stderr).toContain('these hosts do not follow it yet: other');
      expect(await isPrimary(heir)).toBe(true);
      expect(record(heir)['switchover']).toBeDefined();

      other.writeIni({ port: old.port });
      expect(readFileSync(other.iniFile, 'utf8')).toBe(ini);
      const second = await world.cmdStandby(heir, ['--switchover']);
      expectExit(second, 0);
      expect(second.stdout).toContain('other follows this host: streams from it');
      await expectTurned(duo, 100);
      await hasRows(other, 105);
      await heirAsPrimary.switchWal();

      // What its operator has stopped is not started.
      expectExit(await world.cmdStandby(other, ['-A', 'stop']), 0);
      const back = await world.cmdStandby(oldAsStandby, ['--switchover']);
      expectExit(back, 0);
      expect(back.stdout).toMatch(
        /^other was stopped before the switchover, and stays so\. To start it, on that host: .* --follow \S+:\d+$/m,
      );
      expect(other.postmaster()).toBeUndefined();
      expect(record(old)['switchover']).toBeUndefined();
      const follow = ['--follow', `${old.host.address}:${old.port}`];
      expect(back.stdout).toContain(` -C ${other.iniFile} ${follow.join(' ')}\n`);
      expectExit(await world.cmdStandby(other, follow), 0);
      await hasRows(other, 105);
    },
  );

  test(
    'names all that speaks against it at once, and changes nothing',
    { timeout: 480_000 },
    async ({ world }) => {
      const duo = await makeDuo(world, { streams: true });
      const { old, oldAsStandby, heir, heirAsPrimary } = duo;
      const slot = world.major < 12 ? {} : { primary_slot_name: 'unmade' };
      old.configure({ max_connections: 17, ...slot });
      await old.reload();
      chmodSync(dirname(oldAsStandby.iniFile), 0o500);
      heirAsPrimary.writeIni({ slaves: 'heir', r_archivedir: join(heir.host.directory, 'elsewhere') });
      heir.writeIni({ pg_hba_conf: undefined, pg_conf_failover: undefined });
      await heir.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
      await heir.reload();
      await heir.sql('SELECT pg_wal_replay_pause()');
      const refused = await world.cmdStandby(heir, ['--switchover']);
      chmodSync(dirname(oldAsStandby.iniFile), 0o700);
      expectExit(refused, 4);
      for (const text of [
        `cannot follow this host: cannot change "${oldAsStandby.iniFile}"`,
        'max_connections is 17 there, and ',
        ...(world.major < 12 ? [] : ['would stream by replication slot "unmade"']),
        'the replay here is paused',
        'does not feed the old primary',
        "synchronous_standby_names = 'nobody' here lets each commit wait for 1 of the standbys that it names, and none",
      ])
        expect(refused.stderr).toContain(text);
      expect(await isPrimary(old)).toBe(true);
      expect(await heir.inRecovery()).toBe(true);
      expect(record(old)['stoppedFor']).toBeUndefined();
    },
  );

  test(
    'ends a primary that hangs in its shutdown, and starts it again',
    { timeout: 480_000 },
    async ({ world }) => {
      const duo = await makeDuo(world, { streams: false, ofOld: { start_timeout: 5 } });
      const { old, heir } = duo;
      await insertRows(old, 100);
      const postmaster = old.postmaster() ?? 0;
      const writer = familyOf(postmaster).find(({ commandLine }) => commandLine.includes('walwriter'));
      process.kill(writer?.pid ?? 0, 'SIGSTOP');
      const failed = await world.cmdStandby(heir, ['--switchover']);
      expectExit(failed, 1);
      expect(failed.stderr).toContain('has not stopped');
      expect(failed.stderr).toContain('is in service again');
      expect(await isPrimary(old)).toBe(true);
      expectExit(await world.cmdStandby(heir, ['--switchover']), 0);
      await expectTurned(duo, 100);
    },
  );
});
