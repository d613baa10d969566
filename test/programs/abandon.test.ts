import { readFileSync } from 'node:fs';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import { test } from '../harness/test.ts';
import { backupPair, inPgdata } from './backup-kit.ts';

/** Writes rows, and ends a segment after each thousand, as fast as they are archived, until it is stopped. */
function load(primary: Primary): { stop: () => Promise<number> } {
  const state = { isOver: false, rows: 0 };
  const writeSome = async (): Promise<void> => {
    await primary.sql(`INSERT INTO loaded SELECT generate_series(${state.rows + 1}, ${state.rows + 1000})`);
    state.rows += 1000;
    await primary.archived(await primary.switchWal());
  };
  const writing = (async () => {
    while (!state.isOver) await writeSome();
  })();
  return {
    stop: async () => {
      state.isOver = true;
      await writing;
      return state.rows;
    },
  };
}

describe.each(failureMajors())('an abandoned standby on PostgreSQL %i', (major) => {
  test.override({ major });

  test('the next base backup under load resumes an abandoned standby, which misses no segment since the backup', async ({
    world,
  }) => {
    const { primary, standby } = await backupPair(world);
    await primary.sql('CREATE TABLE loaded (n int)');
    expect(await world.cmdStandby(standby, ['-I'])).toMatchObject({ code: 0 });
    expect(await world.cmdStandby(standby, ['-B'])).toMatchObject({ code: 0 });
    const abandon = await world.cmdArchiver(primary, ['--abandon', 'standby1']);
    expect(abandon).toMatchObject({ code: 0 });
    expect(abandon.stdout).toContain('It needs a new base backup');
    const lost = await primary.switchWal();
    await eventually(async () => (await primary.archiver()).failed > 0, { what: 'a failed archive_command' });

    const writing = load(primary);
    const backup = await world.cmdStandby(standby, ['-B']);
    expect(backup.code, backup.stderr).toBe(0);
    const rows = await writing.stop();

    const record = JSON.parse(readFileSync(inPgdata(standby, 'pitrtools.json'), 'utf8')) as {
      backup: { startSegment: string };
    };
    const last = await primary.switchWal();
    await standby.received(last);
    const archived = standby.archive().filter((name) => /^[0-9A-F]{24}$/.test(name));
    expect(archived.indexOf(record.backup.startSegment)).toBeGreaterThanOrEqual(0);
    const from = Number.parseInt(record.backup.startSegment.slice(16), 16);
    const to = Number.parseInt(last.slice(16), 16);
    const wanted = Array.from({ length: to - from + 1 }, (_, index) => from + index);
    const present = new Set(archived.map((name) => Number.parseInt(name.slice(16), 16)));
    expect(wanted.filter((segment) => !present.has(segment))).toEqual([]);
    expect(lost < record.backup.startSegment).toBe(true);

    expect(await world.cmdStandby(standby, ['-S'])).toMatchObject({ code: 0 });
    await eventually(async () => Number(await standby.value('SELECT count(*) FROM loaded')) === rows);
  });

  test('an abandoned standby that could not be reached is resumed by -B as soon as it is reachable again', async ({
    world,
  }) => {
    const { primary, standby } = await backupPair(world, {
      cluster: { slaves: ['standby1', 'standby2'] },
      ini: { wal_timeout: 60 },
    });
    const other = await world.addStandby('standby2', primary);
    for (const one of [standby, other])
      expect(await world.cmdStandby(one, ['-I'])).toMatchObject({ code: 0 });
    await primary.archived(await primary.switchWal());
    expect(await world.cmdArchiver(primary, ['--abandon', 'standby1'])).toMatchObject({ code: 0 });
    await standby.host.sshd.kill();
    // What it does not get is acknowledged all the same, since another one gets it.
    const lost = await primary.switchWal();
    await primary.archived(lost);
    await standby.host.sshd.start();
    const backup = await world.cmdStandby(standby, ['-B']);
    expect(backup.code, backup.stderr).toBe(0);
    expect(standby.archive()).not.toContain(lost);
    expect(await world.cmdStandby(standby, ['-S'])).toMatchObject({ code: 0 });
    await primary.sql('CREATE TABLE written (n int)');
    await primary.archived(await primary.switchWal());
    await eventually(
      async () => (await standby.value("SELECT count(*) FROM pg_class WHERE relname = 'written'")) === '1',
    );
  });
});
