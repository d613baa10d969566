import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { capabilitiesOf } from '../../src/postgres/capabilities.ts';
import { parseVersion } from '../../src/postgres/version.ts';
import { eventually } from '../harness/eventually.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { archiveRows, countRows, expectExit, makePair, type Pair } from './standby-kit.ts';

interface Made extends Pair {
  readonly file: string;
}

/** A streaming standby with ten rows and the INI's trigger_file. */
async function streamingPair(world: World): Promise<Made> {
  const file = join((await world.host('standby1')).directory, 'end of "recovery"');
  const pair = await makePair(world, { ini: { use_streaming_replication: 'on', trigger_file: file } });
  expectExit(await world.cmdStandby(pair.standby, ['-S']), 0);
  await archiveRows(pair, 10);
  await eventually(async () => (await countRows(pair.standby)) === 10);
  return { ...pair, file };
}

const majors = failureMajors();
const parameterOf = (major: number) => capabilitiesOf(parseVersion(String(major))).triggerFile;

describe.each(majors.filter((major) => parameterOf(major) !== undefined))(
  'a standby with a trigger file on PostgreSQL %i',
  (major) => {
    test.override({ major });

    test('is promoted by that file, and -F999 completes the remaining steps', async ({ world }) => {
      const { primary, standby, file } = await streamingPair(world);
      const settings = join(standby.pgdata, major < 12 ? 'recovery.conf' : 'postgresql.auto.conf');
      expect(readFileSync(settings, 'utf8')).toMatch(new RegExp(`^${parameterOf(major) ?? ''} = '`, 'm'));
      await primary.kill9();
      writeFileSync(file, '');
      await eventually(async () => !(await standby.inRecovery()), { what: 'the promotion by the file' });

      const run = await world.cmdStandby(standby, ['-F999']);
      expectExit(run, 0);
      expect(run.stderr).toContain('out of recovery already');
      expect(await countRows(standby)).toBe(10);
      expect(standby.failoverActions()).toBe(1);
    });

    test('is not started while that file exists', async ({ world }) => {
      const { standby, file } = await streamingPair(world);
      expectExit(await world.cmdStandby(standby, ['-A', 'stop']), 0);
      writeFileSync(file, '');
      const run = await world.cmdStandby(standby, ['-S']);
      expectExit(run, 4);
      expect(run.stderr).toContain('the standby would be promoted as soon as it runs');
      expect(standby.isRunning()).toBe(false);
    });
  },
);

describe.each(majors.filter((major) => parameterOf(major) === undefined))(
  'a standby without a trigger file on PostgreSQL %i',
  (major) => {
    test.override({ major });

    test('is promoted by pg_ctl', async ({ world }) => {
      const { primary, standby, file } = await streamingPair(world);
      const settings = readFileSync(join(standby.pgdata, 'postgresql.auto.conf'), 'utf8');
      expect(settings).not.toContain('trigger_file');
      expectExit(await world.cmdStandby(standby, ['-A', 'stop']), 0);
      writeFileSync(file, '');
      expectExit(await world.cmdStandby(standby, ['-S']), 0);
      expect(await standby.inRecovery()).toBe(true);
      await primary.kill9();
      expectExit(await world.cmdStandby(standby, ['-F999']), 0);
      expect(await standby.inRecovery()).toBe(false);
      expect(await countRows(standby)).toBe(10);
    });
  },
);
