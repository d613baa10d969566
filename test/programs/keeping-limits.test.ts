import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { test } from '../harness/test.ts';
import {
  breakArchiving,
  critical,
  inPgWal,
  makeStreamingPair,
  placeOf,
  restartpoint,
  slot,
  slotSegment,
  startStreaming,
  stream,
} from './keeping-kit.ts';
import { expectExit } from './standby-kit.ts';

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
  const { primary, standby } = pair;
  const none = await startStreaming(world, pair);
  expect(none).toContain(
    'this standby keeps no WAL that its archive lacks: max_replication_slots is 0, and the slot needs at least 1',
  );
  expect(await slotSegment(pair)).toBe('no slot');
  expectExit(await world.cmdStandby(standby, ['-A', 'stop']), 0);

  standby.writeIni({ keep_streamed_max: 0 });
  expect(await startStreaming(world, pair)).toContain('keep_streamed_max is 0');
  expectExit(await world.cmdStandby(standby, ['-A', 'stop']), 0);

  await primary.sql('CREATE ROLE watcher LOGIN');
  rmSync(join(standby.host.directory, 'etc', 'pg_conf', 'postgresql.conf'));
  standby.writeIni({ keep_streamed_max: undefined, user: 'watcher', pg_conf: undefined });
  standby.configure({ max_replication_slots: 5 });
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

test('is not kept beside an archive_cleanup_command that does not advance the slot, which is said once', async ({
  world,
}) => {
  const pair = await makeStreamingPair(world, { ini: { pg_archivecleanup: undefined } });
  const { standby } = pair;
  await startStreaming(world, pair);
  await breakArchiving(pair, true);
  const missed = await stream(pair, 2);
  await restartpoint(pair);
  // As an earlier version of pitrtools has set it.
  await standby.sql("ALTER SYSTEM SET archive_cleanup_command = 'true %r'");
  await standby.reload();
  // The call of the last restartpoint may see it first.
  const pings: string[] = [];
  for (let count = 0; count < 3; count++) pings.push((await world.cmdStandby(standby, ['-P'])).stderr);
  expect(await slotSegment(pair)).toBe('no slot');
  expect(critical(standby.host)).toHaveLength(1);
  const [loss] = critical(standby.host);
  expect(loss?.message).toContain('is not kept here any more: archive_cleanup_command is "true %r"');
  expect(loss?.message).toContain(`lacks ${missed.length} segments, ${missed[0] ?? ''} to `);
  const warnings = pings.filter((text) => text.includes('WARNING: this standby keeps no WAL'));
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toContain('cmd_standby -A stop and cmd_standby -S set the right one');
  expectExit(await world.cmdStandby(standby, ['--cleanup']), 0);
  expect(await slotSegment(pair)).toBe('no slot');
  // The command of the site's own configuration.
  expectExit(await world.cmdStandby(standby, ['-A', 'stop']), 0);
  rmSync(join(standby.host.directory, 'etc', 'pg_conf', 'postgresql.conf'));
  standby.writeIni({ pg_conf: undefined });
  standby.configure({ archive_cleanup_command: 'true %r' });
  const own = await startStreaming(world, pair);
  expect(own).toContain('archive_cleanup_command is "true %r", which does not advance a replication slot');
  expect(await slotSegment(pair)).toBe('no slot');
});
