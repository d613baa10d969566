import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { failureMajors, testMajors } from '../harness/postgres-programs.ts';
import { shows } from '../harness/scenarios.ts';
import { test } from '../harness/test.ts';
import { backupPair, installHelpers } from './backup-kit.ts';
import { addBoth, addHeir, addRows, appendIni, failOver, hasRows, makeStandby } from './matrix-kit.ts';
import { expectExit } from './standby-kit.ts';

describe.each(testMajors())('cmd_standby on PostgreSQL %i', (major) => {
  test.override({ major });

  test(
    'copies a tablespace, and removes WAL that is no longer needed',
    shows('tablespaces', 'cleanup'),
    async ({ world }) => {
      const { primary, standby } = await backupPair(world, { ini: { numarchives: 0 } });
      const there = join(primary.host.directory, 'spaces', 'fast');
      const target = join(standby.host.directory, 'spaces', 'fast');
      mkdirSync(there, { recursive: true });
      await primary.sql(`CREATE TABLESPACE fast LOCATION '${there}'`);
      await primary.sql('CREATE TABLE rows (id serial PRIMARY KEY) TABLESPACE fast');
      await addRows(primary, 100);
      appendIni(standby, `\n[tablespaces]\n${there} = ${target}\n`);
      await makeStandby(world, standby);
      await addRows(primary, 100);
      const old = await primary.switchWal();
      await hasRows(standby, 200);
      const location = "SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'fast'";
      expect(await standby.value(location)).toBe(target);

      await addRows(primary, 100);
      await primary.sql('CHECKPOINT');
      const recent = await primary.switchWal();
      await hasRows(standby, 300);
      await standby.sql('CHECKPOINT');
      // On a busy machine its answer may take longer than a view.
      const live = async () => (await world.cmdArchiver(primary, ['--status', '--live', '--json'])).stdout;
      const answer = /"live":\{"seenAt":"[^"]*","value":\{"server":"recovering","timeline":1,"replayed":"0\//;
      await eventually(async () => answer.test(await live()), { what: 'the word of the standby' });
      expectExit(await world.cmdStandby(standby, ['--cleanup']), 0);
      expect(standby.archive()).not.toContain(old);
      expect(standby.archive()).toContain(recent);
      await addRows(primary, 100);
      await primary.switchWal();
      await hasRows(standby, 400);
    },
  );
});

// Where the whole chain of failovers runs, it shows this too.
const withoutChain = testMajors().filter((major) => !failureMajors().includes(major));

describe.runIf(withoutChain.length > 0).each(withoutChain)('standbys of PostgreSQL %i', (major) => {
  test.override({ major });

  test('follow a primary that was promoted before', shows('promoted primary'), async ({ world }) => {
    const first = await world.startPrimary({ slaves: ['heir', 'follower'] });
    await first.sql('CREATE TABLE rows (id serial PRIMARY KEY)');
    await installHelpers(first);
    const heir = await addHeir(world, 'heir', first, 'promotion');
    const follower = await world.addStandby('follower', first, { ini: { wal_timeout: 60 } });
    expectExit(await world.cmdArchiver(first, ['-I']), 0);
    await makeStandby(world, heir);
    await makeStandby(world, follower);
    await addBoth(first, [heir, follower], 100);
    await hasRows(heir, 200);

    const second = await failOver(world, first, heir, ['follower']);
    await addBoth(second, [follower], 100);
    await hasRows(follower, 300);
    expect(await follower.inRecovery()).toBe(true);
    expect(existsSync(join(follower.archiveDir, '00000002.history'))).toBe(true);
  });
});
