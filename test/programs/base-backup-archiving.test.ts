import { expect } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import { testMajors } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import { backupPair } from './backup-kit.ts';
import { expectExit } from './standby-kit.ts';

const major = testMajors()[0] ?? 15;

test.override({ major });

test('-B refuses a primary whose archive_command names a program or an INI file that does not exist', async ({
  world,
}) => {
  const { primary, standby } = await backupPair(world);
  expectExit(await world.cmdStandby(standby, ['-I']), 0);
  const plan = async (archiveCommand: string, ...more: string[]) => {
    primary.configure({ archive_command: archiveCommand });
    await primary.reload();
    return world.cmdStandby(standby, ['-B', '--dry-run', ...more]);
  };
  const program = checkout('bin', 'cmd_archiver');

  const noProgram = await plan(`/nonexistent/cmd_archiver -C ${primary.iniFile} -F %p`);
  expectExit(noProgram, 4);
  expect(noProgram.stderr).toContain('there is no program "/nonexistent/cmd_archiver" that can be run');
  const noIni = await plan(`${program} -C /nonexistent.ini -F %p`);
  expectExit(noIni, 4);
  expect(noIni.stderr).toContain('there is no INI file "/nonexistent.ini"');
  const noSegment = await plan(`${program} -C ${primary.iniFile} -F %f`);
  expectExit(noSegment, 4);
  expect(noSegment.stderr).toContain('it does not pass the segment on by -F %p');

  const forced = await plan(`${program} -C /nonexistent.ini -F %p`, '--force=archive-command');
  expectExit(forced, 0);
  expect(forced.stderr).toMatch(/WARNING: .*there is no INI file/);
  expectExit(await plan(`${program} -C ${primary.iniFile} -F %p`), 0);
  // Whether another program ships is seen by the WAL that arrives.
  expectExit(await plan('cp %p /somewhere/%f'), 0);
});
