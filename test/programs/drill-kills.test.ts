import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { writeScript } from '../harness/host.ts';
import type { IniKeys } from '../harness/ini.ts';
import { newestMajors } from '../harness/postgres-programs.ts';
import { createRandom, testSeed } from '../harness/random.ts';
import type { ServerSettings } from '../harness/server.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import {
  archiveOf,
  drill,
  drillDirectory,
  expectNothingLeft,
  makeDrillPair,
  settingsOf,
} from './drill-kit.ts';
import { archiveRows, countRows, expectExit, type Pair } from './standby-kit.ts';

const rounds = Number(process.env['PITRTOOLS_TEST_DRILL_KILLS'] ?? 3);

interface Way {
  readonly name: string;
  readonly settings: ServerSettings;
  /** @param base the directory of the snapshots */
  readonly keys: (pair: Pair, base: string) => IniKeys;
}

const ways: readonly Way[] = [
  { name: 'backup', settings: {}, keys: () => ({ use_streaming_replication: 'on' }) },
  {
    name: 'stopped-for-it',
    settings: { hot_standby: false },
    keys: () => ({ drill_may_stop: 'on' }),
  },
  {
    name: 'snapshot',
    settings: {},
    // It is atomic only because nothing is written while it is taken.
    keys: ({ standby }, base) => ({
      drill_snapshot: writeScript(
        standby.host,
        'drill-snapshot',
        `place='${base}'/$PITRTOOLS_SNAPSHOT
case $1 in
  create)
    mkdir -p "$place" && cp -a "$PITRTOOLS_PGDATA" "$place/data" && rm -f "$place/data/postmaster.pid" || exit 3
    echo 'snapshot: atomic'
    echo "mount: $PITRTOOLS_PGDATA=$place/data" ;;
  remove) rm -rf "$place" ;;
esac`,
      ),
    }),
  },
];

/** The standby is as it was, or was stopped for its copy by a drill that has noted that. */
function expectUnharmed(
  world: World,
  { standby }: Pair,
  before: { readonly settings: Record<string, string>; readonly archive: Record<string, string> },
): void {
  expect(settingsOf(standby)).toEqual(before.settings);
  // The standby itself removes WAL that it needs no more.
  const archive = archiveOf(standby);
  const kept = Object.entries(before.archive).filter(([file]) => file in archive);
  expect(archive).toMatchObject(Object.fromEntries(kept));
  if (!standby.isRunning())
    expect(existsSync(join(drillDirectory(world), 'run', 'standby-stopped'))).toBe(true);
}

describe.each(newestMajors())('kills of a drill on PostgreSQL %i', (major) => {
  test.override({ major });

  test.for(ways)(
    'leave nothing after the next one, and the standby unharmed: $name',
    { timeout: 300_000 + 60_000 * rounds },
    async ({ name, settings, keys }, { world }) => {
      const random = createRandom(testSeed() + ways.findIndex((way) => way.name === name));
      const pair = await makeDrillPair(world, { settings });
      const { standby } = pair;
      const base = join(world.directory, 'snapshots');
      standby.writeIni(keys(pair, base));
      expectExit(await world.cmdStandby(standby, ['-S']), 0);
      await archiveRows(pair, 100);
      const began = performance.now();
      await drill(world, standby, 0);
      const lengthMs = performance.now() - began;
      const postmaster = standby.postmaster();
      for (let round = 0; round < Math.ceil(rounds / ways.length); round += 1) {
        const before = { settings: settingsOf(standby), archive: archiveOf(standby) };
        const killed = world.startStandby(standby, ['--drill']);
        await delay(lengthMs * random());
        killed.signal('SIGKILL');
        await killed.finished;
        expectUnharmed(world, pair, before);
        await archiveRows(pair, 101 + round);
      }
      await drill(world, standby, 0);
      expect(standby.isRunning()).toBe(true);
      if (name !== 'stopped-for-it') {
        expect(standby.postmaster()).toBe(postmaster);
        const rows = 100 + Math.ceil(rounds / ways.length);
        await eventually(async () => (await countRows(standby)) === rows);
      }
      expectNothingLeft(world);
      if (existsSync(base)) expect(readdirSync(base)).toEqual([]);
    },
  );
});
