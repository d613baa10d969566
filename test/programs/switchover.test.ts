import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { failureMajors } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import { shownEvents } from './ledger-kit.ts';
import { countRows, expectExit, slotsOn } from './standby-kit.ts';
import { hasRows, insertRows, isPrimary, makeDuo, record, segmentAt } from './switchover-kit.ts';

describe.each(failureMajors())('--switchover on PostgreSQL %i', (major) => {
  test.override({ major });

  test.for([
    ['warm', false],
    ['streaming', true],
  ] as const)(
    'of a %s standby: no row is lost, and the old primary follows without a new base backup',
    { timeout: 480_000 },
    async ([, streams], { world }) => {
      const bySlot = streams ? { use_slot: 'yes', slot_unlimited: 'yes' } : {};
      const duo = { streams, ofHeir: bySlot, ofOld: bySlot };
      const { old, oldAsStandby, heir, heirAsPrimary } = await makeDuo(world, duo);
      await insertRows(old, 100);
      await old.sql("SELECT pg_create_physical_replication_slot('forgotten', true)");
      const plan = await world.cmdStandby(heir, ['--switchover', '--dry-run']);
      expectExit(plan, 0);
      expect(plan.stdout).toContain(`${old.host.address}: stop the server fast`);
      expect(plan.stderr).toMatch(
        /will be a standby, and these replication slots .*: forgotten \(physical\)/,
      );
      expect(await isPrimary(old)).toBe(true);
      expect(record(heir)['switchover']).toBeUndefined();

      await insertRows(old, 50);
      // Its archive, and no standby, loses them at the restartpoint of the switchover.
      for (let each = 0; each < 2; each += 1) await old.switchWal();
      const run = await world.cmdStandby(heir, ['--switchover']);
      expectExit(run, 0);
      expect(await isPrimary(heir)).toBe(true);
      expect(await countRows(heir)).toBe(150);
      expect(run.stderr).not.toContain('need a new base backup');
      // Unfinished: archivedir must not have it under its name.
      const last = segmentAt(/end of its shutdown at LSN (\S+)/.exec(run.stdout)?.[1] ?? '');
      expect(heir.archive()).not.toContain(last);
      // From its promotion on, the server itself marks it as unfinished.
      expect(existsSync(join(heir.pgdata, 'pg_wal', `${last}.partial`))).toBe(true);
      if (!streams) expect(run.stderr).toMatch(new RegExp(`into pg_wal: .*\\b${last}$`, 'm'));
      expect(run.stderr).not.toContain('need a new base backup');
      expect(run.stdout).toMatch(/^Nobody took writes for [0-9.]+ s: the stop took/m);
      expect(record(heir)['switchover']).toBeUndefined();

      expect(await isPrimary(old)).toBe(false);
      expect(run.stdout).toContain(
        `${old.host.address} follows this host: ${streams ? 'streams' : 'replays'}`,
      );
      expect(run.stderr).toMatch(/is a standby, and these replication slots .*: forgotten \(physical\)/);
      await old.sql("SELECT pg_drop_replication_slot('forgotten')");
      expect(readFileSync(oldAsStandby.iniFile, 'utf8')).toContain(`master_public_ip: ${heir.host.address}`);
      expect(shownEvents(await world.cmdStandby(heir, ['--history', '--json']))).toMatchObject([
        { kind: 'base-backup' },
        { kind: 'standby-started' },
        { kind: 'promoted', by: 'switchover', timeline: 2 },
      ]);
      expect(shownEvents(await world.cmdStandby(oldAsStandby, ['--history', '--json']))).toMatchObject([
        { kind: 'stopped-for', by: heir.host.address, timeline: 1 },
        { kind: 'left-marked' },
        { kind: 'follows', primary: heir.host.address, timeline: 2, asked: true },
      ]);
      await insertRows(heir, 10);
      await heirAsPrimary.switchWal();
      await hasRows(old, 160);
      if (!streams) return;
      // Each slot is on the primary, whoever that is.
      expect(await slotsOn(old)).toEqual([]);
      const [slot] = await slotsOn(heir);
      expect(run.stderr).toContain(
        `have the replication slots here by which the other standbys will stream: ${slot?.replace(' active', '') ?? ''}`,
      );

      const back = await world.cmdStandby(oldAsStandby, ['--switchover', '--grace', '1']);
      expectExit(back, 0);
      expect(back.stderr).not.toContain('these replication slots');
      expect(await isPrimary(old)).toBe(true);
      expect(await isPrimary(heir)).toBe(false);
      await insertRows(old, 10);
      await hasRows(heir, 170);
      expect(await slotsOn(heir)).toEqual([]);
      expect(await slotsOn(old)).toEqual([expect.stringMatching(/ active$/)]);
    },
  );
});
