import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { writeIni } from '../harness/ini.ts';
import { testMajors } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import {
  breakArchiving,
  critical,
  inPgWal,
  makeStreamingPair,
  restartpoint,
  slot,
  slotSegment,
  startStreaming,
  stream,
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

/** The place of a segment, whatever its timeline. */
const placeOf = (name: string) => name.slice(8);

describe.each(testMajors())('WAL that only streaming brings, on PostgreSQL %i', (major) => {
  test.override({ major });

  test('stays through restartpoints until the archive has it', async ({ world }) => {
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

  test('stays through a promotion: the archive gets it, and the slot waits for the other standbys', async ({
    world,
  }) => {
    const pair = await makeStreamingPair(world);
    const { primary, standby } = pair;
    writeArchiverIni(standby, world.user);
    await startStreaming(world, pair);
    await breakArchiving(pair, true);
    const first = await stream(pair, 5);
    await restartpoint(pair);
    const second = await stream(pair, 5);
    await restartpoint(pair);
    const rows = await primary.value('SELECT count(*) FROM rows');
    await primary.kill9();
    const failover = await world.cmdStandby(standby, ['-F999']);
    expectExit(failover, 0);
    expect(failover.stderr).toContain('which only streaming had brought: copied from pg_wal to');
    expect(failover.stderr).toContain('keeps WAL for the other standbys until cmd_archiver --ship');
    const missed = [...first, ...second];
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
  });
});

test('is given up beyond keep_streamed_max, which is said once', async ({ world }) => {
  const pair = await makeStreamingPair(world, { ini: { keep_streamed_max: '64MB' } });
  const { standby } = pair;
  await startStreaming(world, pair);
  await breakArchiving(pair, true);
  const missed = await stream(pair, 8);
  await restartpoint(pair);
  await eventually(() => critical(standby.host).length > 0, { what: 'a notification' });
  expect(critical(standby.host)[0]?.message).toContain(`it was more than 64 MB (keep_streamed_max)`);
  expect(critical(standby.host)[0]?.message).toContain(`${missed[0] ?? ''} to `);
  const kept = await slotSegment(pair);
  expect(kept > placeOf(missed[0] ?? '')).toBe(true);
  await restartpoint(pair);
  expect(inPgWal(pair)).not.toContain(missed[0]);
  expect(inPgWal(pair)).toEqual(expect.arrayContaining(missed.filter((name) => placeOf(name) >= kept)));
  expectExit(await world.cmdStandby(standby, ['-P']), 0);
  expect(critical(standby.host)).toHaveLength(1);
});

test('is not kept where that is not possible, which -S says, and starts', async ({ world }) => {
  const pair = await makeStreamingPair(world, { settings: { max_replication_slots: 0 } });
  const { standby } = pair;
  const none = await startStreaming(world, pair);
  expect(none).toContain(
    'this standby keeps no WAL that its archive lacks: max_replication_slots is 0, and the slot needs at least 1',
  );
  expect(await slotSegment(pair)).toBe('no slot');
  expectExit(await world.cmdStandby(standby, ['-A', 'stop']), 0);

  standby.writeIni({ keep_streamed_max: 0 });
  expect(await startStreaming(world, pair)).toContain('keep_streamed_max is 0');
});

test('a user without the right to make a slot is named, and the standby starts', async ({ world }) => {
  const pair = await makeStreamingPair(world, { ini: { user: 'watcher' } });
  const { primary, standby } = pair;
  await primary.sql('CREATE ROLE watcher LOGIN');
  await primary.sql('CHECKPOINT');
  const said = await startStreaming(world, pair);
  expect(said).toContain('the user "watcher" cannot make a replication slot');
  expect(await slotSegment(pair)).toBe('no slot');
  expect(await standby.inRecovery()).toBe(true);
});

test('a slot is dropped where the server could not start with it, or nothing would advance it', async ({
  world,
}) => {
  const pair = await makeStreamingPair(world);
  const { standby } = pair;
  const place = join(standby.pgdata, 'pg_replslot', slot);
  await startStreaming(world, pair);
  expect(existsSync(place)).toBe(true);
  // Stopped and started by hand, it is the same.
  await standby.restart();
  expect(await slotSegment(pair)).not.toBe('no slot');
  expectExit(await world.cmdStandby(standby, ['-A', 'stop']), 0);
  standby.configure({ max_replication_slots: 0 });
  rmSync(join(standby.host.directory, 'etc', 'pg_conf', 'postgresql.conf'));
  standby.writeIni({ pg_conf: undefined });
  const started = await world.cmdStandby(standby, ['-A', 'start']);
  expectExit(started, 0);
  expect(started.stderr).toContain(`replication slot "${slot}" is dropped`);
  expect(existsSync(place)).toBe(false);
  expectExit(await world.cmdStandby(standby, ['-A', 'stop']), 0);

  standby.configure({ max_replication_slots: 5 });
  await startStreaming(world, pair);
  expect(existsSync(place)).toBe(true);
  expectExit(await world.cmdStandby(standby, ['-A', 'stop']), 0);
  standby.writeIni({ use_streaming_replication: 'off' });
  await startStreaming(world, pair);
  expect(existsSync(place)).toBe(false);
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

test('a promoted server without an archiver has no slot, and one whose configuration allows none starts', async ({
  world,
}) => {
  const pair = await makeStreamingPair(world, { failoverSettings: { max_replication_slots: 0 } });
  const { primary, standby } = pair;
  await startStreaming(world, pair);
  await breakArchiving(pair, true);
  const missed = await stream(pair, 3);
  await restartpoint(pair);
  await primary.kill9();
  const failover = await world.cmdStandby(standby, ['-F999']);
  expectExit(failover, 0);
  expect(failover.stderr).toContain(`replication slot "${slot}" is dropped`);
  expect(standby.archive()).toEqual(expect.arrayContaining(missed));
  expect(await slotSegment(pair)).toBe('no slot');
});

test('the shipper of the promoted host drops the slot beyond its keep_streamed_max, and says whom it waited for', async ({
  world,
}) => {
  const pair = await makeStreamingPair(world);
  const { primary, standby } = pair;
  const promoted = await world.asPrimary(standby, ['other']);
  await startStreaming(world, pair);
  await breakArchiving(pair, true);
  await stream(pair, 4);
  await restartpoint(pair);
  await primary.kill9();
  expectExit(await world.cmdStandby(standby, ['-F999']), 0);
  await standby.sql('CHECKPOINT');
  expectExit(await world.cmdArchiver(promoted, ['-I']), 0);
  promoted.writeIni({ keep_streamed_max: '16MB' });
  const shipper = world.startArchiver(promoted, ['--ship']);
  await eventually(async () => (await slotSegment(pair)) === 'no slot', { what: 'the slot dropped' });
  await eventually(() =>
    critical(standby.host).some(({ message }) => message.includes('before other had caught up')),
  );
  shipper.signal('SIGTERM');
  await shipper.finished;
});
