import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { newestMajors } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import { expectExit } from './standby-kit.ts';

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
  },
);
