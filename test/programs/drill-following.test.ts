import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import type { Standby } from '../harness/standby.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import {
  archiveOf,
  commonPhasesOf,
  drill,
  drillAndFailOver,
  drillDirectory,
  expectNothingLeft,
  makeDrillPair,
  settingsOf,
  writeSql,
} from './drill-kit.ts';
import { archiveRows, countRows, expectExit } from './standby-kit.ts';

/** What a drill must not change: files, the server, and its connection to the primary. */
async function stateOf(standby: Standby) {
  return {
    settings: settingsOf(standby),
    postmaster: standby.postmaster(),
    sentinel: readFileSync(join(standby.archiveDir, '.pitrtools'), 'utf8'),
    receiver: await standby.value('SELECT max(pid) FROM pg_stat_wal_receiver'),
    isPaused: await standby.value('SELECT pg_is_wal_replay_paused()'),
  };
}

function holdsCopy(world: World): boolean {
  return existsSync(join(drillDirectory(world), 'run', 'pgdata', 'backup_label.old'));
}

describe.each(failureMajors())('a drill of a standby that follows on PostgreSQL %i', (major) => {
  test.override({ major });

  test('streaming and delayed: it goes on meanwhile, keeps all that it has, and fails over as the drill said', async ({
    world,
  }) => {
    const pair = await makeDrillPair(world, {
      ini: { use_streaming_replication: 'on', failover_probe_timeout: 2 },
      primarySettings: { track_commit_timestamp: true },
    });
    const { primary, standby } = pair;
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    await primary.sql('INSERT INTO rows SELECT generate_series(1, 100)');
    await eventually(async () => (await countRows(standby)) === 100);

    const before = await stateOf(standby);
    const archived = archiveOf(standby);
    expect(before.receiver).not.toBe('null');
    standby.writeIni({
      drill_sql: writeSql(standby, "SELECT count(*) >= 100 FROM rows;\nSELECT pg_sleep(5)::text = '';\n"),
    });
    const running = drill(world, standby, 0);
    await eventually(() => holdsCopy(world));
    // Streamed, and in no segment that the archive has.
    await primary.sql('INSERT INTO rows SELECT generate_series(101, 200)');
    await eventually(async () => (await countRows(standby)) === 200);
    expect(holdsCopy(world)).toBe(true);
    const streaming = await running;
    expect(streaming).toMatchObject({ result: 'passed', copy: 'backup', timeline: 2 });
    expect(await stateOf(standby)).toEqual(before);
    expect(archiveOf(standby)).toEqual(archived);
    expectNothingLeft(world);

    expectExit(await world.cmdStandby(standby, ['-A', 'stop']), 0);
    standby.writeIni({ recovery_min_apply_delay: '1h', use_streaming_replication: 'off' });
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    await archiveRows(pair, 300);
    const delayed = await stateOf(standby);
    expect(JSON.stringify(delayed.settings)).toContain("recovery_min_apply_delay = '1h'");
    // What was replayed before the stop may be delayed again.
    const rows = await countRows(standby);
    expect(rows).toBeLessThanOrEqual(200);
    // A failover would replay what is delayed, and so does the copy.
    standby.writeIni({ drill_sql: writeSql(standby, 'SELECT count(*) = 300 FROM rows;\n') });
    expect(await drill(world, standby, 0)).toMatchObject({ result: 'passed', copy: 'backup' });
    expect(await stateOf(standby)).toEqual(delayed);
    expect(await countRows(standby)).toBe(rows);
    expectNothingLeft(world);

    const { drilled, failover } = await drillAndFailOver(world, pair, [301, 302]);
    // Before 12 the delay ends only when the server opens: it replays what is delayed in that phase.
    const without = major >= 12 ? ['start'] : ['start', 'replay'];
    expect(commonPhasesOf(failover.phases)).toEqual(
      commonPhasesOf(drilled.phases).filter((name) => !without.includes(name)),
    );
  });
});
