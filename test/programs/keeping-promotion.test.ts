import { chmodSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { archivingSettings } from '../harness/primary.ts';
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
import { expectExit } from './standby-kit.ts';

test('a slot that nothing would limit stays until archivedir has its WAL, and no longer', async ({
  world,
}) => {
  const pair = await makeStreamingPair(world, { failoverSettings: { archive_mode: false } });
  const { primary, standby } = pair;
  await startStreaming(world, pair);
  await breakArchiving(pair, true);
  const missed = await stream(pair, 3);
  await restartpoint(pair);
  await primary.kill9();
  chmodSync(standby.archiveDir, 0o500);
  const failover = await world.cmdStandby(standby, ['-F999']);
  expectExit(failover, 0);
  expect(failover.stderr).toContain('could not be copied to archivedir');
  expect(failover.stderr).toContain(
    'only cmd_standby -P limits how much (this server archives nothing, and max_slot_wal_keep_size is not set)',
  );
  expect(failover.stderr).toContain(`SELECT pg_drop_replication_slot('${slot}')`);
  expect(critical(standby.host).at(-1)?.message).toContain('WAL that could not be copied to archivedir');
  await standby.sql('CHECKPOINT');
  expect(await slotSegment(pair)).not.toBe('no slot');
  expect(inPgWal(pair)).toEqual(expect.arrayContaining(missed));
  chmodSync(standby.archiveDir, 0o700);
  const repaired = await world.cmdStandby(standby, ['-P']);
  expect(standby.archive()).toEqual(expect.arrayContaining(missed));
  expect(repaired.stderr).toContain(
    `replication slot "${slot}" is dropped: nothing would limit what it keeps`,
  );
  expect(await slotSegment(pair)).toBe('no slot');
});

test('without a slot it is copied as soon as the server is open, not after action_failover', async ({
  world,
}) => {
  const seen = join(world.directory, 'seen');
  // From 11 on the first checkpoint after the promotion may remove it before anybody can copy it.
  const settings = { wal_keep_size: '256MB' };
  const pair = await makeStreamingPair(world, { ini: { keep_streamed_max: 0 }, settings });
  const { primary, standby } = pair;
  standby.writeIni({ action_failover: `sh -c 'ls ${standby.archiveDir} >${seen}'` });
  await startStreaming(world, pair);
  await breakArchiving(pair, true);
  const missed = await stream(pair, 2);
  await primary.kill9();
  expectExit(await world.cmdStandby(standby, ['-F999']), 0);
  expect(readFileSync(seen, 'utf8').split('\n')).toEqual(expect.arrayContaining(missed));
});

test('a promoted server whose configuration allows no slot starts without it', async ({ world }) => {
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
  const host = await world.host('standby1');
  const pair = await makeStreamingPair(world, { failoverSettings: archivingSettings(host) });
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
