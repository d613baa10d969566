import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { capabilitiesOf } from '../../src/postgres/capabilities.ts';
import { parseVersion } from '../../src/postgres/version.ts';
import { eventually } from '../harness/eventually.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import { createWorld, type World } from '../harness/world.ts';
import { archiveRows, countRows, expectExit, makePair, type Pair } from './standby-kit.ts';

let world: World | undefined;
afterEach(async () => {
  await world?.close();
  world = undefined;
});

interface Made extends Pair {
  readonly here: World;
  readonly file: string;
}

/** A streaming standby with ten rows and the INI's trigger_file. */
async function streamingPair(major: number): Promise<Made> {
  const here = await createWorld({ major });
  world = here;
  const file = join((await here.host('standby1')).directory, 'end of "recovery"');
  const pair = await makePair(here, { ini: { use_streaming_replication: 'on', trigger_file: file } });
  expectExit(await here.cmdStandby(pair.standby, ['-S']), 0);
  await archiveRows(pair, 10);
  await eventually(async () => (await countRows(pair.standby)) === 10);
  return { ...pair, here, file };
}

const majors = failureMajors();
const parameterOf = (major: number) => capabilitiesOf(parseVersion(String(major))).triggerFile;

describe.each(majors.filter((major) => parameterOf(major) !== undefined))('PostgreSQL %i', (major) => {
  test('is promoted by its trigger file, and -F999 does what comes after', async () => {
    const { here, primary, standby, file } = await streamingPair(major);
    const settings = join(standby.pgdata, major < 12 ? 'recovery.conf' : 'postgresql.auto.conf');
    expect(readFileSync(settings, 'utf8')).toMatch(new RegExp(`^${parameterOf(major) ?? ''} = '`, 'm'));
    await primary.kill9();
    writeFileSync(file, '');
    await eventually(async () => !(await standby.inRecovery()), { what: 'the promotion by the file' });

    const run = await here.cmdStandby(standby, ['-F999']);
    expectExit(run, 0);
    expect(run.stderr).toContain('out of recovery already');
    expect(await countRows(standby)).toBe(10);
    expect(standby.failoverActions()).toBe(1);
  });

  test('is not started while the trigger file is there', async () => {
    const { here, standby, file } = await streamingPair(major);
    expectExit(await here.cmdStandby(standby, ['-A', 'stop']), 0);
    writeFileSync(file, '');
    const run = await here.cmdStandby(standby, ['-S']);
    expectExit(run, 4);
    expect(run.stderr).toContain('the standby would be promoted as soon as it runs');
    expect(standby.isRunning()).toBe(false);
  });
});

describe.each(majors.filter((major) => parameterOf(major) === undefined))('PostgreSQL %i', (major) => {
  test('knows no trigger file, and is promoted by command', async () => {
    const { here, primary, standby, file } = await streamingPair(major);
    const settings = readFileSync(join(standby.pgdata, 'postgresql.auto.conf'), 'utf8');
    expect(settings).not.toContain('trigger_file');
    expectExit(await here.cmdStandby(standby, ['-A', 'stop']), 0);
    writeFileSync(file, '');
    expectExit(await here.cmdStandby(standby, ['-S']), 0);
    expect(await standby.inRecovery()).toBe(true);
    await primary.kill9();
    expectExit(await here.cmdStandby(standby, ['-F999']), 0);
    expect(await standby.inRecovery()).toBe(false);
    expect(await countRows(standby)).toBe(10);
  });
});
