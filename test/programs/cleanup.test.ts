import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import { eventually } from '../harness/eventually.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import { archiveRows, countRows, expectExit, makePair } from './standby-kit.ts';

describe.each(failureMajors())('cmd_standby --cleanup on PostgreSQL %i', (major) => {
  test.override({ major });

  test('keeps numarchives segments and all WAL that the base backup, and later the last restartpoint, needs', async ({
    world,
  }) => {
    const pair = await makePair(world, { ini: { numarchives: 2, pg_archivecleanup: undefined } });
    const { primary, standby } = pair;
    await archiveRows(pair, 10);
    await archiveRows(pair, 20);
    const before = standby.archive();
    // The sentinel names a program that was there before pitrtools was installed in another place.
    const sentinel = join(standby.archiveDir, '.pitrtools');
    const gone = 'program: /opt/old/bin/cmd_standby\nini: /opt/old/cmd_standby.ini\n';
    writeFileSync(sentinel, `${readFileSync(sentinel, 'utf8').replace(/^(program|ini): .*\n/gm, '')}${gone}`);
    const cold = await world.cmdStandby(standby, ['--cleanup']);
    expectExit(cold, 0);
    const call = `program: ${checkout('bin', 'cmd_standby')}\nini: ${standby.iniFile}\n`;
    expect(readFileSync(sentinel, 'utf8')).toContain(call);
    const label = before.find((name) => name.endsWith('.backup')) ?? '';
    expect(standby.archive()).toEqual(before.filter((name) => name >= label.slice(0, 24)));

    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    await primary.sql('CHECKPOINT');
    const last = await archiveRows(pair, 30);
    await eventually(async () => (await countRows(standby)) === 30);
    await standby.sql('CHECKPOINT');
    writeFileSync(join(standby.archiveDir, '00000009.history'), '1\t0/5000000\tx\n');
    writeFileSync(join(standby.archiveDir, 'notes'), 'mine');
    mkdirSync(join(standby.archiveDir, '.incoming', 'x'), { recursive: true });

    const plan = await world.cmdStandby(standby, ['--cleanup', '--dry-run']);
    const kept = standby.archive();
    expect(plan.stdout).toMatch(/^1\. remove 00000001/);
    const run = await world.cmdStandby(standby, ['--cleanup']);
    expectExit(run, 0);
    const left = standby.archive();
    expect(left).toContain('00000009.history');
    expect(left).toContain(last);
    const segments = left.filter((name) => name.length === 24);
    expect(segments.length).toBeGreaterThanOrEqual(2);
    expect(segments.length).toBeLessThan(kept.filter((name) => name.length === 24).length);
    for (const name of kept.filter((one) => !left.includes(one)))
      expect(run.stdout).toContain(`removed ${name}\n`);

    // What is left must carry the standby through a crash and on.
    await standby.kill9();
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    await archiveRows(pair, 40);
    await eventually(async () => (await countRows(standby)) === 40);
  });

  test('removes nothing if it cannot determine what is needed', async ({ world }) => {
    const pair = await makePair(world, { ini: { numarchives: 0 } });
    await archiveRows(pair, 10);
    const before = pair.standby.archive();
    writeFileSync(join(pair.standby.pgdata, 'global', 'pg_control.pitrtools'), '');
    const run = await world.cmdStandby(pair.standby, ['--cleanup']);
    expectExit(run, 4);
    expect(run.stderr).toContain('is incomplete');
    expect(pair.standby.archive()).toEqual(before);
  });
});
