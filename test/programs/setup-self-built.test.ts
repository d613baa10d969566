import { appendFileSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { missingHostRoots } from '../harness/host-networks.ts';
import { newestMajors } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import { newPgdgPair } from './pgdg-kit.ts';
import { keyOf, textAt } from './setup-kit.ts';
import { expectExit } from './standby-kit.ts';

const missing = await missingHostRoots();
if (missing !== undefined) console.log(`skipped: ${missing}`);

describe.each(newestMajors())(
  '--setup of a server that no package has installed, of PostgreSQL %i',
  (release) => {
    test.override({ major: release });

    test('changes its settings by ALTER SYSTEM, and names the restart', async ({ world }) => {
      const fresh = { archive_mode: false, archive_command: undefined, wal_level: undefined };
      const primary = await world.startPrimary({ settings: fresh });
      const beta = await world.host('beta');
      const ini = join(primary.host.directory, 'own', 'cmd_archiver.ini');
      const flags = ['--setup', '--cluster', primary.pgdata, '--archive', beta.archiveDir];
      const address = `${beta.address}:${beta.sshd.port}`;
      const setUp = (...more: string[]) => world.cmdArchiver(primary, [...flags, ...more], { ini });

      const first = await setUp('--standby', address, '--apply');
      expectExit(first, 8);
      expect(first.stdout).toContain('ALTER SYSTEM SET archive_mode = ');
      expect(first.stdout).toMatch(/only a restart .*: (?:wal_level, )?archive_mode, listen_addresses\n/);
      expect(first.stdout).toContain(`pg_ctl -D ${primary.pgdata} -m fast restart`);
      // The key of this world's hosts is not ours.
      expect(first.stdout).toContain(`${beta.address} does not let our keys in yet`);
      expect(await primary.value("SELECT count(*) FROM pg_proc WHERE proname = 'cmd_get_pgdata'")).toBe('1');
      expect(
        await primary.value(
          "SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles WHERE rolname ~ '^pitrtools'",
        ),
      ).toMatch(/^pitrtools pitrtools_\w+$/);
      expect(readFileSync(join(primary.pgdata, 'pg_hba.conf'), 'utf8')).toMatch(
        /^# pitrtools --setup.*\nhost replication \+pitrtools 127\./,
      );

      await primary.restart();
      const second = await setUp('--apply');
      expectExit(second, 8);
      expect(second.stdout).not.toContain('restart');
      expect(second.stdout).not.toMatch(/^\d+\. /m);
      expect(await primary.value('SHOW archive_command')).toContain(`-C ${ini} -F %p`);
    });

    test('knows its own file again where a symbolic link leads to the data directory', async ({ world }) => {
      const fresh = { archive_mode: false, archive_command: undefined };
      const primary = await world.startPrimary({ settings: fresh });
      const beta = await world.host('beta');
      mkdirSync(join(primary.pgdata, 'conf.d'));
      appendFileSync(join(primary.pgdata, 'postgresql.conf'), "\ninclude_dir = 'conf.d'\n");
      const link = join(primary.host.directory, 'link');
      symlinkSync(primary.pgdata, link);
      const ini = join(primary.host.directory, 'own', 'cmd_archiver.ini');
      const address = `${beta.address}:${beta.sshd.port}`;
      const flags = ['--setup', '--cluster', link, '--archive', beta.archiveDir, '--standby', address];
      const first = await world.cmdArchiver(primary, [...flags, '--apply'], { ini });
      expectExit(first, 8);
      expect(first.stdout).not.toContain('this had no effect');
      const written = readFileSync(join(primary.pgdata, 'conf.d', 'pitrtools.conf'), 'utf8');
      expect(written).toMatch(/^archive_mode = /m);
      expect(written).toMatch(/^archive_command = /m);
    });
  },
);

describe.skipIf(missing !== undefined).each(newestMajors())(
  "--setup of servers in the places of PGDG's RPMs, of PostgreSQL %i",
  { timeout: 600_000 },
  (release) => {
    test('finds programs, data directory and unit by itself, and a standby streams', async () => {
      const { world, alpha, beta } = await newPgdgPair(release);
      try {
        const keys = (host: typeof alpha) => `'${keyOf(host, 'archive')}' '${keyOf(host, 'data')}'`;
        const pgdata = `/var/lib/pgsql/${release}/data`;
        const first = await alpha.type('cmd_archiver --setup --standby beta --apply');
        expectExit(first, 8);
        expect(first.stdout).toContain(
          `cluster ${pgdata}, PostgreSQL ${release}; its server runs on port 5432`,
        );
        expect(first.stdout).toContain(`systemctl restart postgresql-${release}\n`);
        const ini = textAt(alpha, '/etc/pitrtools/cmd_archiver.ini');
        expect(ini).toContain(`pgdata: ${pgdata}\n`);
        expect(ini).toContain('r_archivedir: /var/lib/pgsql/archive\n');
        const onBeta = (flags: string) => beta.type(`cmd_standby ${flags}`);
        expectExit(await onBeta(`--setup --primary alpha --authorize ${keys(alpha)}`), 8);
        expectExit(await alpha.type(`cmd_archiver --setup --authorize ${keys(beta)}`), 8);
        expectExit(await alpha.type(`systemctl restart postgresql-${release}`), 0);
        const stop = await onBeta('--setup --primary alpha --apply');
        expectExit(stop, 8);
        expect(stop.stdout).toContain(`systemctl stop postgresql-${release}\n`);
        expectExit(await beta.type(`systemctl stop postgresql-${release}`), 0);
        expectExit(await onBeta('--setup --apply'), 8);
        expectExit(await onBeta('-B'), 0);
        expectExit(await onBeta('-S'), 0);
        // pg_hba.conf in the data directory is this host's own, which -B has kept.
        expectExit(await onBeta('--setup --apply'), 0);
        expectExit(await alpha.type('cmd_archiver --setup'), 0);
        await alpha.sql('CREATE TABLE rows AS SELECT generate_series(1, 100) AS n');
        await eventually(async () => (await beta.sql('SELECT count(*) FROM rows')) === '100');
        expect(await alpha.sql('SELECT usename, state FROM pg_stat_replication')).toBe(
          'pitrtools_beta|streaming',
        );
      } finally {
        await world.close();
      }
    });
  },
);
