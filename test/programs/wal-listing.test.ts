import { renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { testMajors } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import { snapshot } from './backup-kit.ts';
import { archiveRows, expectExit, makePair } from './standby-kit.ts';
import { targetMajors } from './targets-kit.ts';

/** Debian's server brings its pg_waldump. */
const majors = targetMajors().length === 1 && testMajors().includes(15) ? [15] : targetMajors();

describe.each(majors)('cmd_standby --wal on PostgreSQL %i', (major) => {
  test.override({ major });

  test('lists the archive by timeline with the reachable end of recovery, and changes nothing', async ({
    world,
  }) => {
    const pair = await makePair(world);
    const { primary, standby } = pair;
    const segments: string[] = [];
    for (const rows of [10, 20, 30, 40]) segments.push(await archiveRows(pair, rows));
    const state = () => ({ ...snapshot(standby.pgdata), ...snapshot(standby.archiveDir) });
    const list = async () => {
      const before = state();
      const run = await world.cmdStandby(standby, ['--wal']);
      expectExit(run, 0);
      expect(state()).toEqual(before);
      return run.stdout;
    };
    const [, , third = '', last = ''] = segments;

    const whole = await list();
    expect(whole).toContain(`${last} (`);
    expect(whole).toMatch(/^Timeline 1: \d segments, \d+ MB, LSN 0\/\d000000 to 0\/7000000$/m);
    expect(whole).toMatch(
      /^Recovery is possible from LSN 0\/[23][0-9A-F]+ to before LSN 0\/7000000, on timeline 1$/m,
    );
    expect(whole).toMatch(/^Only the first page of each segment was read, so it is not known/m);
    // pg_waldump comes with the server of Debian only.
    expect(whole).toMatch(
      major === 15 ? /^Last commit: \d{4}-.* UTC\)/m : /^(The time of the last commit|Last commit: )/m,
    );

    renameSync(join(standby.archiveDir, third), join(world.directory, 'away'));
    const gap = await list();
    expect(gap).toContain(`  missing: ${third}\n`);
    expect(gap).toContain(`Not beyond: segment ${third} is missing`);
    expect(gap).toContain('to before LSN 0/5000000, on timeline 1');
    renameSync(join(world.directory, 'away'), join(standby.archiveDir, third));
    truncateSync(join(standby.archiveDir, last), 1000);
    expect(await list()).toContain(`  unusable: ${last}: it has 1000 bytes instead of 16777216`);

    await primary.stop('immediate');
    writeFileSync(join(standby.archiveDir, '00000002.history'), '1\t0/5000100\tx\n');
    const branched = await list();
    expect(branched).toContain('History files of timelines: 2');
    expect(branched).toContain('left behind: the newest timeline does not lead through the last 1 segment');
    rmSync(standby.pgdata, { recursive: true });
    const bare = await world.cmdStandby(standby, ['--wal']);
    expectExit(bare, 0);
    expect(bare.stdout).toContain('Nothing can be recovered from here: ');
  });
});
