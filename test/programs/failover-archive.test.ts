import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { failureMajors, wideMajors } from '../harness/postgres-programs.ts';
import { createWorld, type World } from '../harness/world.ts';
import { archiveRows, countRows, expectExit, makePair, type Pair } from './standby-kit.ts';

let world: World | undefined;
afterEach(async () => {
  await world?.close();
  world = undefined;
});

/** A standby that stopped before the last three archived segments, and whose primary is dead. */
async function behind(here: World): Promise<Pair & { readonly segments: readonly string[] }> {
  const pair = await makePair(here);
  expectExit(await here.cmdStandby(pair.standby, ['-S']), 0);
  await archiveRows(pair, 10);
  await eventually(async () => (await countRows(pair.standby)) === 10);
  await pair.standby.stop();
  const segments: string[] = [];
  for (const rows of [20, 30, 40]) segments.push(await archiveRows(pair, rows));
  await pair.primary.kill9();
  return { ...pair, segments };
}

test.each(failureMajors())(
  '-F999 finds zeros under the name of a segment and damage inside one before it promotes, on PostgreSQL %i',
  async (major) => {
    world = await createWorld({ major });
    const { standby, segments } = await behind(world);
    const [first = '', middle = '', last = ''] = segments;
    const file = (name: string) => join(standby.archiveDir, name);
    const refuses = async (name: string, change: (bytes: Buffer) => void, said: RegExp) => {
      const good = readFileSync(file(name));
      const bad = Buffer.from(good);
      change(bad);
      writeFileSync(file(name), bad);
      const run = await world?.cmdStandby(standby, ['-F999']);
      if (run !== undefined) expectExit(run, 4);
      expect(run?.stderr).toMatch(said);
      expect(run?.stderr).toContain(`up to ${last}, is not replayed`);
      expect(run?.stderr).toContain('--force=replay');
      expect(standby.isRunning()).toBe(false);
      writeFileSync(file(name), good);
    };
    await refuses(
      last,
      (bytes) => bytes.fill(0),
      new RegExp(`segment ${last} cannot be replayed: no WAL page`),
    );
    await refuses(
      middle,
      (bytes) => bytes.fill(0, 40, 8192),
      new RegExp(`the WAL is damaged at LSN .*, in segment …${middle.slice(8)}`),
    );
    await refuses(
      first,
      (bytes) => {
        bytes[64] = (bytes[64] ?? 0) ^ 1;
      },
      /damaged at LSN .*wrong checksum/,
    );

    const run = await world.cmdStandby(standby, ['-F999']);
    expectExit(run, 0);
    expect(await countRows(standby)).toBe(40);
    expect(standby.failoverActions()).toBe(1);
  },
);

test.each(failureMajors())(
  'a standby with a delay and a paused replay replays the whole archive before its promotion, and keeps its delay, on PostgreSQL %i',
  async (major) => {
    world = await createWorld({ major });
    const pair = await makePair(world);
    const { primary, standby } = pair;
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    await archiveRows(pair, 10);
    await eventually(async () => (await countRows(standby)) === 10);
    if (major >= 12) {
      standby.configure({ recovery_min_apply_delay: '1h' });
      await standby.sql('SELECT pg_reload_conf()');
      await eventually(async () => (await standby.value('SHOW recovery_min_apply_delay')) === '1h');
    }
    await standby.sql('SELECT pg_wal_replay_pause()');
    await archiveRows(pair, 20);
    await primary.kill9();

    const run = await world.cmdStandby(standby, ['-F999']);
    expectExit(run, 0);
    expect(await countRows(standby)).toBe(20);
    const auto = readFileSync(join(standby.pgdata, 'postgresql.auto.conf'), 'utf8');
    expect(auto).not.toContain('recovery_min_apply_delay');
  },
);

test.each(wideMajors())(
  'archiving that is turned on after the failover does not take the unfinished segment of the old timeline, on PostgreSQL %i',
  async (major) => {
    world = await createWorld({ major });
    const pair = await makePair(world, {
      ini: { use_streaming_replication: 'on' },
      settings: { archive_mode: 'off' },
    });
    const { primary, standby } = pair;
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    await primary.sql('INSERT INTO rows SELECT generate_series(1, 10)');
    await eventually(async () => (await countRows(standby)) === 10);
    await primary.kill9();
    expectExit(await world.cmdStandby(standby, ['-F999']), 0);

    const status = join(standby.pgdata, 'pg_wal', 'archive_status');
    const archived = join(standby.host.directory, 'archived.log');
    standby.configure({ archive_mode: 'on', archive_command: `echo %f >> ${archived}` });
    await standby.restart();
    const first = await standby.value('SELECT pg_walfile_name(pg_switch_wal())');
    await standby.sql('CHECKPOINT');
    await standby.sql('SELECT pg_switch_wal()');
    await standby.sql('CHECKPOINT');
    const names = () => readFileSync(archived, 'utf8').trim().split('\n');
    await eventually(() => Promise.resolve(names().includes(first)));
    await eventually(() => Promise.resolve(!readdirSync(status).some((name) => name.endsWith('.ready'))));
    expect(names().filter((name) => /^00000001[0-9A-F]{16}$/.test(name))).toEqual([]);
  },
);
