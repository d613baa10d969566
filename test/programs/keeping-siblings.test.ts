import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import { archivingSettings } from '../harness/primary.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { installHelpers } from './backup-kit.ts';
import { critical, makeStreamingPair, slotSegment, streamTen } from './keeping-kit.ts';
import { copyBaseBackup, expectExit, type Pair } from './standby-kit.ts';

/** Another standby of the same primary, which has WAL from its archive alone. */
async function addWarmStandby(world: World, { primary, standby }: Pair): Promise<Pair['standby']> {
  const other = await world.addStandby('other', primary, {
    ini: { failover_probe_timeout: 3, start_timeout: 30 },
  });
  await installHelpers(primary);
  expectExit(await world.cmdStandby(other, ['-I']), 0);
  await copyBaseBackup(primary, other);
  await standby.received(await primary.switchWal());
  for (const name of standby.archive())
    copyFileSync(join(standby.archiveDir, name), join(other.archiveDir, name));
  expectExit(await world.cmdStandby(other, ['-S']), 0);
  return other;
}

describe.each(failureMajors())('WAL that only streaming had brought, on PostgreSQL %i', (major) => {
  test.override({ major });
  // No slot can be had up to 10.

  test.skipIf(major < 11)(
    'reaches another standby after a failover, and then the slot is dropped',
    async ({ world }) => {
      const host = await world.host('standby1');
      const pair = await makeStreamingPair(world, { failoverSettings: archivingSettings(host) });
      const { primary, standby } = pair;
      const other = await addWarmStandby(world, pair);
      const promoted = await world.asPrimary(standby, ['other']);
      const missed = await streamTen(world, pair);
      const rows = await primary.value('SELECT count(*) FROM rows');
      await primary.kill9();
      expectExit(await world.cmdStandby(standby, ['-F999']), 0);
      expectExit(await world.cmdArchiver(promoted, ['-I']), 0);
      const shipper = world.startArchiver(promoted, ['--ship'], { limitMs: 300_000 });
      await other.received(missed.at(-1) ?? '');
      expect(other.archive()).toEqual(expect.arrayContaining([...missed, '00000002.history']));
      await eventually(async () => (await slotSegment(pair)) === 'no slot', { what: 'the slot dropped' });
      await standby.sql('INSERT INTO rows VALUES (-1)');
      await standby.switchWal();
      await eventually(
        async () => (await other.value('SELECT count(*) FROM rows')) === String(Number(rows) + 1),
      );
      expect(critical(standby.host)).toEqual([]);
      shipper.signal('SIGTERM');
      await shipper.finished;
    },
  );

  test.skipIf(major < 11)(
    'reaches it also if archiving is turned on only after the failover, and nothing that is not whole',
    async ({ world }) => {
      const pair = await makeStreamingPair(world);
      const { primary, standby } = pair;
      const other = await addWarmStandby(world, pair);
      const promoted = await world.asPrimary(standby, ['other']);
      const missed = await streamTen(world, pair);
      // The last segment of the timeline begins, and nothing ends it.
      await primary.sql('INSERT INTO rows VALUES (-1)');
      await eventually(async () => (await standby.value('SELECT count(*) FROM rows WHERE id < 0')) === '1');
      const rows = Number(await primary.value('SELECT count(*) FROM rows'));
      const last = await primary.value('SELECT pg_walfile_name(pg_current_wal_lsn())');
      await primary.kill9();
      expectExit(await world.cmdStandby(standby, ['-F999']), 0);
      await standby.sql('CHECKPOINT');
      standby.configure(archivingSettings(standby.host));
      await standby.restart();
      expectExit(await world.cmdArchiver(promoted, ['-I']), 0);
      await standby.sql('INSERT INTO rows VALUES (-2)');
      await other.received(await standby.switchWal());
      await eventually(async () => (await other.value('SELECT count(*) FROM rows')) === String(rows + 1));
      expect(other.archive()).toEqual(expect.arrayContaining([...missed, '00000002.history']));
      expect(other.archive()).not.toContain(last);
      const sizes = other.archive().filter((name) => /^[0-9A-F]{24}$/.test(name));
      for (const name of sizes) expect(other.archivedBytes(name)).toHaveLength(16 * 1024 * 1024);
    },
  );
});
