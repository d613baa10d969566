import { describe, expect } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import { wideMajors } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import { expectExit, makePair } from './standby-kit.ts';

const mustBeChanged = 'archive_command of this server must be changed';

describe.each(wideMajors())('the archive_command that a standby of PostgreSQL %i inherited', (major) => {
  test.override({ major });

  test('is named by the check if it cannot run, also while no server runs', async ({ world }) => {
    const settings = {
      archive_mode: true,
      archive_command: '/gone/cmd_archiver -C /gone/cmd_archiver.ini -F %p',
    };
    const { standby } = await makePair(world, { settings });
    const check = await world.cmdStandby(standby, []);
    expectExit(check, 0);
    expect(check.stderr).toContain(`${mustBeChanged}: there is no program "/gone/cmd_archiver"`);
    expect(check.stderr).toContain(`${mustBeChanged}: its INI file cannot be read`);
    expect(check.stderr).toContain(`HINT: Make an INI file for cmd_archiver on this host`);
  });

  test('is named if the running server reports that it ships into its own archive', async ({ world }) => {
    const pair = await makePair(world, { settings: { archive_mode: true, archive_command: 'false' } });
    const { standby } = pair;
    standby.writeIni({ pg_conf_failover: undefined, pg_hba_conf_failover: undefined });
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    expect((await world.cmdStandby(standby, [])).stderr).not.toContain(mustBeChanged);
    await standby.sql(`ALTER SYSTEM SET archive_command = 'cp %p ${standby.archiveDir}/%f'`);
    await standby.sql('SELECT pg_reload_conf()');
    const check = await world.cmdStandby(standby, []);
    expectExit(check, 0);
    expect(check.stderr).toContain(`${mustBeChanged}: it names ${standby.archiveDir}`);
  });

  test('is read from the files of a promoted server if these differ from the running settings', async ({
    world,
  }) => {
    const ini = `${world.directory}/primary.ini`;
    const command = `${checkout('bin', 'cmd_archiver')} -C ${ini} -F %p`;
    const failoverSettings = { archive_mode: true, archive_command: command };
    const { standby } = await makePair(world, { failoverSettings });
    const check = await world.cmdStandby(standby, []);
    expectExit(check, 0);
    expect(check.stderr).toContain(`${mustBeChanged}: its INI file cannot be read`);
    expect(check.stderr).not.toContain('there is no program');
  });
});
