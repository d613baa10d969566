import { existsSync, readdirSync, readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import pg from 'pg';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { newestMajors, outerMajors } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import type { Server } from '../harness/server.ts';
import type { Standby } from '../harness/standby.ts';
import { test } from '../harness/test.ts';
import { installHelpers } from './backup-kit.ts';
import { addressOf, addRows, hasRows, makeThree, streams } from './follow-kit.ts';
import { expectExit, makePair, slotsOn } from './standby-kit.ts';

const bySlot = { ...streams, use_slot: 'yes' };

/** As the standby's server was started. */
async function ownSlot(standby: Standby, major: number): Promise<string> {
  if (major >= 12) return standby.value("SELECT current_setting('primary_slot_name')");
  const text = readFileSync(join(standby.pgdata, 'recovery.conf'), 'utf8');
  return /^primary_slot_name = '(.*)'$/m.exec(text)?.[1] ?? '';
}

/** The servers of one machine have one host name, and differ in their data directories. */
async function eventuallyOn(server: Pick<Server, 'sql'>, slots: readonly string[], what: string) {
  let seen: readonly string[] = [];
  await eventually(
    async () => {
      seen = await slotsOn(server);
      return seen.join() === [...slots].sort().join();
    },
    { limitMs: 120_000, what: `${what}: ${slots.join()} (last seen there: ${seen.join()})` },
  );
}

/** Streams by a slot until the connection is cut. */
async function holdSlot(primary: Primary, name: string): Promise<() => void> {
  const { user, port } = primary;
  const options = { host: '127.0.0.1', port, user, database: 'postgres', replication: 'true' };
  const client = new pg.Client(options);
  client.on('error', () => undefined);
  await client.connect();
  const from = await primary.value(
    `SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = '${name}'`,
  );
  // It never ends by itself.
  void client.query(`START_REPLICATION SLOT "${name}" PHYSICAL ${from}`).catch(() => undefined);
  await eventuallyOn(primary, [`${name} active`], 'held');
  return () => {
    (client as unknown as { connection: { stream: Socket } }).connection.stream.destroy();
  };
}

describe.each(newestMajors())('slots through a change of roles on PostgreSQL %i', (major) => {
  test.override({ major });
  const limited = major >= 13 ? { max_slot_wal_keep_size: '1GB' } : {};
  // Only a standby that answers in time gets a slot here.
  const keys = { ...bySlot, failover_probe_timeout: 30, slot_unlimited: major >= 13 ? 'no' : 'yes' };

  test('the slots go with the roles: made before the promotion, and gone where nobody streams by them', async ({
    world,
  }) => {
    const { primary, heir, other, former } = await makeThree(world, {
      heir: keys,
      other: keys,
      former: keys,
      primary: { settings: limited },
      settings: limited,
    });
    await world.asPrimary(heir, ['other']);
    const [ofHeir, ofOther] = [await ownSlot(heir, major), await ownSlot(other, major)];
    expect(ofHeir).not.toBe(ofOther);
    await eventuallyOn(primary, [`${ofHeir} active`, `${ofOther} active`], 'on the primary');
    // A slot of somebody else is nobody's business.
    await primary.sql("SELECT pg_create_physical_replication_slot('theirs')");
    await addRows(primary, 100);
    for (const standby of [heir, other]) await hasRows(standby, 100);

    await primary.stop('fast');
    const run = await world.cmdStandby(heir, ['-F999']);
    expectExit(run, 0);
    // Before its standby follows, and as long as nobody has asked it to.
    expect(await slotsOn(heir), `${run.stdout}${run.stderr}`).toEqual([ofOther]);
    await addRows(heir, 200);
    const followed = await world.cmdStandby(other, ['--follow', addressOf(heir)]);
    expectExit(followed, 0);
    // The old primary is down: its slot is dropped when it becomes a standby.
    expect(followed.stderr).toContain(
      `replication slot "${ofOther}" on ${primary.host.address} could not be dropped`,
    );
    await eventuallyOn(heir, [`${ofOther} active`], 'on the new primary');

    expectExit(await world.cmdStandby(former, ['--rejoin', addressOf(heir)]), 0);
    const ofFormer = await ownSlot(former, major);
    await eventuallyOn(heir, [`${ofFormer} active`, `${ofOther} active`], 'on the new primary');
    expect(await slotsOn(former)).toEqual([]);
    expect(await former.value("SELECT string_agg(slot_name::text, ',') FROM pg_replication_slots")).toMatch(
      /theirs/,
    );

    // The key off: streams without, and leaves none behind.
    expectExit(await world.cmdStandby(other, ['-Astop']), 0);
    other.writeIni({ use_slot: 'no', master_public_ip: heir.host.address, port: heir.port });
    expectExit(await world.cmdStandby(other, ['-S']), 0);
    await eventuallyOn(heir, [`${ofFormer} active`], 'on the new primary');
    await addRows(heir, 300);
    for (const standby of [other, former]) await hasRows(standby, 300);
  });
});

describe.each(outerMajors())('use_slot on PostgreSQL %i', (major) => {
  test.override({ major });

  test('-S refuses what would harm the primary, takes up a slot, and makes one anew that has lost its WAL', async ({
    world,
  }) => {
    const { primary, standby } = await makePair(world, {
      ini: { ...bySlot },
      primarySettings: { max_replication_slots: 1 },
    });
    const start = () => world.cmdStandby(standby, ['-S']);

    const unlimited = await start();
    expectExit(unlimited, 4);
    expect(unlimited.stderr).toContain('slot_unlimited: yes');
    expect(await slotsOn(primary)).toEqual([]);
    standby.writeIni({ slot_unlimited: 'yes' });

    await primary.sql("SELECT pg_create_physical_replication_slot('theirs')");
    const full = await start();
    expectExit(full, 4);
    expect(full.stderr).toContain('max_replication_slots is 1');
    expect(full.stderr).toContain("pg_drop_replication_slot('theirs')");
    expect(existsSync(join(standby.pgdata, 'postmaster.pid'))).toBe(false);
    await primary.sql("SELECT pg_drop_replication_slot('theirs')");

    expectExit(await start(), 0);
    const name = await ownSlot(standby, major);
    expect(name).toMatch(/^pitrtools_for_[a-z0-9_]+$/);
    await eventuallyOn(primary, [`${name} active`], 'on the primary');
    expectExit(await world.cmdStandby(standby, ['-Astop']), 0);

    // Another program holds it, as another standby of the same name would.
    const release = await holdSlot(primary, name);
    const busy = await start();
    release();
    expectExit(busy, 4);
    expect(busy.stderr).toContain(`replication slot "${name}" on ${primary.host.address} is in use`);
    expect(readdirSync(standby.pgdata)).not.toContain('postmaster.pid');

    if (major >= 13) {
      await primary.sql("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'");
      await primary.sql("ALTER SYSTEM SET max_wal_size = '32MB'");
      await primary.reload();
      for (let segment = 0; segment < 4; segment++) {
        await primary.switchWal();
        await primary.sql('CHECKPOINT');
      }
      const status = 'SELECT wal_status FROM pg_replication_slots';
      expect(await primary.value(status)).toBe('lost');
      const renewed = await start();
      expectExit(renewed, 0);
      expect(renewed.stderr).toContain('had lost its WAL');
      expect(await primary.value(status)).toMatch(/^(reserved|extended)$/);
    } else expectExit(await start(), 0);

    // Somebody has dropped it: the next -P makes it again once the standby runs, which then streams.
    await eventuallyOn(primary, [`${name} active`], 'on the primary');
    expectExit(await world.cmdStandby(standby, ['-Astop']), 0);
    await primary.sql('SELECT pg_drop_replication_slot($1)', [name]);
    expect((await world.cmdStandby(standby, ['-P'])).stderr).toContain('no standby is recovering here');
    expect(await slotsOn(primary)).toEqual([]);
    await standby.start();
    expectExit(await world.cmdStandby(standby, ['-P']), 0);
    await eventuallyOn(primary, [`${name} active`], 'on the primary');

    // A base backup that fails leaves no slot.
    expectExit(await world.cmdStandby(standby, ['-Astop']), 0);
    await primary.sql('SELECT pg_drop_replication_slot($1)', [name]);
    await installHelpers(primary);
    primary.configure({ archive_command: 'false' });
    await primary.reload();
    standby.writeIni({ wal_timeout: 2 });
    const failed = await world.cmdStandby(standby, ['-B']);
    expectExit(failed, 4);
    expect(await slotsOn(primary)).toEqual([]);
  });
});
