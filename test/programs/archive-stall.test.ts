import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import { eventually } from '../harness/eventually.ts';
import { clientProgram, failureMajors } from '../harness/postgres-programs.ts';
import { createWorld, type World } from '../harness/world.ts';
import { archivedFiles, prepareArchive } from './archiver-cluster.ts';
import { systemIdentifierOf } from './shipper-kit.ts';

let world: World | undefined;
afterEach(async () => {
  await world?.close();
  world = undefined;
});

test.each(failureMajors())(
  'the shipper notifies if archive_command does not exist, and the check names the missing program, on PostgreSQL %i',
  async (major) => {
    world = await createWorld({ major });
    const here = world;
    const missing = '/nonexistent/cmd_archiver -C /nonexistent.ini -F %p';
    const primary = await here.startPrimary({
      slaves: ['standby1'],
      ini: { archive_stall: 1, psql: clientProgram('psql') },
      settings: { archive_command: missing },
    });
    const standby = await here.host('standby1');
    prepareArchive(standby, await systemIdentifierOf(primary));
    expect(await here.cmdArchiver(primary, ['-I'])).toMatchObject({ code: 0 });

    const wrong = await here.cmdArchiver(primary, []);
    expect(wrong).toMatchObject({ code: 1, stdout: '' });
    expect(wrong.stderr).toContain('there is no program "/nonexistent/cmd_archiver"');
    expect(wrong.stderr).toContain('it uses the INI file "/nonexistent.ini"');

    const shipper = here.startArchiver(primary, ['--ship']);
    const segment = await primary.switchWal();
    await eventually(() => archivedFiles(standby).includes(segment));
    const said = () => primary.host.notifications();
    await eventually(() => said().length > 0, { what: 'the alarm' });
    expect(said()[0]).toMatchObject({ severity: 'critical' });
    expect(said()[0]?.message).toContain('PostgreSQL has taken no shipped segment for');
    expect(said()[0]?.message).toContain('there is no program "/nonexistent/cmd_archiver"');
    expect(said()[0]?.message).toMatch(/pg_stat_archiver: 0 archived \(none yet\), 0 failures/);
    expect(existsSync(join(primary.lArchiveDir, '.archiver', 'archive_stall.state'))).toBe(true);

    const right = `${checkout('bin', 'cmd_archiver')} -C ${primary.iniFile} -F %p`;
    primary.configure({ archive_command: right });
    // An archiver process that a status of 127 has ended is started again only after a while.
    await primary.restart();
    await primary.archived(segment);
    await eventually(() => said().length > 1, { what: 'the end of the alarm' });
    expect(said().map(({ severity }) => severity)).toEqual(['critical', 'ok']);
    expect(await here.cmdArchiver(primary, [])).toMatchObject({ code: 0, stdout: 'Config OK\n' });
    shipper.signal('SIGTERM');
    await shipper.finished;
  },
);
