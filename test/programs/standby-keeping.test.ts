import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { writeIni } from '../harness/ini.ts';
import { wideMajors } from '../harness/postgres-programs.ts';
import { archivingSettings } from '../harness/primary.ts';
import { test } from '../harness/test.ts';
import {
  breakArchiving,
  inPgWal,
  makeStreamingPair,
  placeOf,
  restartpoint,
  slotSegment,
  startStreaming,
  stream,
  streamTen,
} from './keeping-kit.ts';
import { expectExit, type Pair } from './standby-kit.ts';

/** The part that this host plays once it is the primary: it feeds another standby. */
function writeArchiverIni(standby: Pair['standby'], user: string): void {
  const { host } = standby;
  writeIni(join(host.directory, 'etc', 'cmd_archiver.ini'), {
    keys: {
      pgdata: standby.pgdata,
      slaves: 'other',
      r_archivedir: join(host.directory, 'other'),
      l_archivedir: join(host.directory, 'l_archive'),
      ssh: host.ssh,
      user,
    },
  });
}

describe.each(wideMajors())('WAL that only streaming brings, on PostgreSQL %i', (major) => {
  test.override({ major });
  // No slot can be had up to 10.

  test.skipIf(major < 11)('stays through restartpoints until the archive has it', async ({ world }) => {
    const pair = await makeStreamingPair(world);
    await startStreaming(world, pair);
    expect(await slotSegment(pair)).not.toBe('no slot');
    await breakArchiving(pair, true);
    const first = await stream(pair, 5);
    await restartpoint(pair);
    const second = await stream(pair, 5);
    await restartpoint(pair);
    await restartpoint(pair);
    const missed = [...first, ...second];
    expect(inPgWal(pair)).toEqual(expect.arrayContaining(missed));
    expect(pair.standby.archive()).not.toEqual(expect.arrayContaining([missed[0]]));
    await breakArchiving(pair, false);
    await pair.standby.received(missed.at(-1) ?? '');
    // The server's own archive_cleanup_command advances the slot, and cleans up what recovery does not need.
    await restartpoint(pair);
    await eventually(async () => (await slotSegment(pair)) > placeOf(missed.at(-1) ?? ''), {
      what: 'the slot behind what the archive has received',
    });
    await eventually(() => !pair.standby.archive().includes(missed[0] ?? ''));
    await restartpoint(pair);
    await eventually(() => !inPgWal(pair).includes(missed[0] ?? ''), { what: 'removed from pg_wal' });
  });

  test.skipIf(major < 11)(
    'stays through a promotion: the archive gets it, and the slot waits for the other standbys',
    async ({ world }) => {
      const host = await world.host('standby1');
      const pair = await makeStreamingPair(world, { failoverSettings: archivingSettings(host) });
      const { primary, standby } = pair;
      writeArchiverIni(standby, world.user);
      const missed = await streamTen(world, pair);
      const rows = await primary.value('SELECT count(*) FROM rows');
      await primary.kill9();
      const failover = await world.cmdStandby(standby, ['-F999']);
      expectExit(failover, 0);
      expect(failover.stderr).toContain('which only streaming had brought: copied from pg_wal to');
      expect(failover.stderr).toContain('keeps WAL for the other standbys until cmd_archiver --ship');
      expect(standby.archive()).toEqual(expect.arrayContaining(missed));
      // Nothing of the timeline's unfinished segment, and nothing that is no segment.
      const last = missed.at(-1) ?? '';
      expect(standby.archive().filter((name) => name.length === 24 && name > last)).toEqual([]);
      expect(readdirSync(standby.archiveDir).filter((name) => name.endsWith('.tmp'))).toEqual([]);
      await standby.sql('CHECKPOINT');
      expect(inPgWal(pair)).toEqual(expect.arrayContaining(missed));
      expect(await standby.value('SELECT count(*) FROM rows')).toBe(rows);
      // A failover that was killed in its last step: -P finishes it.
      rmSync(join(standby.archiveDir, missed[3] ?? ''));
      await world.cmdStandby(standby, ['-P']);
      expect(standby.archive()).toEqual(expect.arrayContaining(missed));
      expect(await slotSegment(pair)).not.toBe('no slot');
    },
  );
});

test('--cleanup advances the slot first, and keeps what the slot waits for', async ({ world }) => {
  const pair = await makeStreamingPair(world, { ini: { pg_archivecleanup: undefined, numarchives: 0 } });
  const { standby } = pair;
  await startStreaming(world, pair);
  const arrived = await stream(pair, 3);
  await standby.received(arrived[2] ?? '');
  await restartpoint(pair);
  expectExit(await world.cmdStandby(standby, ['--cleanup']), 0);
  expect((await slotSegment(pair)) > placeOf(arrived[2] ?? '')).toBe(true);
  expect(standby.archive()).not.toContain(arrived[0]);

  expectExit(await world.cmdStandby(standby, ['-A', 'stop']), 0);
  const refused = await world.cmdStandby(standby, ['--cleanup']);
  expectExit(refused, 4);
  expect(refused.stderr).toContain('which WAL it waits for; nothing was removed');
});
