import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { ArchiverDeps } from '../../../../src/archiver/deps.ts';
import { awaitPromotion, standbyStop, type Stop } from '../../../../src/archiver/shipper/stop.ts';
import { readCluster } from '../../../../src/archiver/wal/cluster.ts';
import { identityOf } from '../../../../src/archiver/wal/wal-file.ts';
import { controlIn } from '../../postgres/fixtures/changed-control.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

// No time passes but that which a test lets pass: whatever ends without it was ended by an event.
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'hrtime'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** Waits for the promotion of a standby. `looked` resolves when it has been looked at for the n-th time. */
async function startWaiting() {
  const pgdata = temporaryDirectory();
  const ini = join(temporaryDirectory(), 'cmd_archiver.ini');
  const file = join(pgdata, 'global', 'pg_control');
  mkdirSync(join(pgdata, 'global'));
  writeFileSync(file, controlIn('in-archive-recovery'));
  writeFileSync(ini, 'one');
  const end = new AbortController();
  let readings = 0;
  const deps = {
    settings: { pgdata },
    log: { notice: () => undefined },
    signal: end.signal,
    // Read after each look, and once more after the wait that follows.
    monotonicMs: () => {
      readings += 1;
      return Number(process.hrtime.bigint()) / 1e6;
    },
    pause: () => Promise.resolve(),
  } as unknown as ArchiverDeps;
  const cluster = await readCluster(pgdata);
  const stop: Promise<Stop> = awaitPromotion(deps, cluster, { path: ini, identity: await identityOf(ini) });
  const looks = () => Math.ceil(readings / 2);
  const looked = async (times: number) => {
    while (looks() < times) await setImmediate();
  };
  await looked(1);
  return { pgdata, ini, file, stop, end, looked, looks };
}

test('sees a promotion by its write to pg_control', async () => {
  const { file, stop } = await startWaiting();
  writeFileSync(file, controlIn('in-production'));
  expect(await stop).toBe('promoted');
});

test('continues to wait when a restartpoint or a stop writes pg_control', async () => {
  const { file, stop, looked } = await startWaiting();
  writeFileSync(file, controlIn('shut-down-in-recovery'));
  await looked(2);
  writeFileSync(file, controlIn('in-production'));
  expect(await stop).toBe('promoted');
});

test('sees a change of the configuration, and a request to end', async () => {
  const changed = await startWaiting();
  writeFileSync(changed.ini, 'another one');
  expect(await changed.stop).toBe('config-changed');
  const ended = await startWaiting();
  ended.end.abort();
  expect(await ended.stop).toBe('requested');
});

test('ends when a base backup takes pg_control away', async () => {
  const { file, stop } = await startWaiting();
  renameSync(file, `${file}.away`);
  expect(await stop).toBe('nothing-to-do');
});

test('looks at a quiet standby no more often than every five seconds, and then without an event', async () => {
  const { pgdata, file, stop, looked, looks } = await startWaiting();
  // The directory that is watched has gone: no event tells of the new one.
  renameSync(join(pgdata, 'global'), join(pgdata, 'old'));
  mkdirSync(join(pgdata, 'global'));
  writeFileSync(file, controlIn('in-archive-recovery'));
  rmSync(join(pgdata, 'old'), { recursive: true });
  // Its removal was an event still.
  await looked(2);
  const before = looks();
  await vi.advanceTimersByTimeAsync(4_900);
  expect(looks()).toBeLessThanOrEqual(before + 1);
  writeFileSync(file, controlIn('in-production'));
  let ended: Stop | undefined;
  void stop.then((found) => (ended = found));
  while (ended === undefined) {
    await vi.advanceTimersByTimeAsync(1_000);
    await setImmediate();
  }
  expect(ended).toBe('promoted');
});

test('a standby that feeds others waits while its data directory is replaced, and ends for another cluster', async () => {
  const { pgdata, ini, file } = await startWaiting();
  const cluster = await readCluster(pgdata);
  const config = { path: ini, identity: await identityOf(ini) };
  rmSync(file);
  const stopOf = (relay: boolean) =>
    standbyStop({ settings: { pgdata, relay } } as unknown as ArchiverDeps, cluster, config);
  expect(await stopOf(true)).toBeUndefined();
  expect(await stopOf(false)).toBe('nothing-to-do');
  writeFileSync(file, controlIn('in-archive-recovery'));
  const other = { ...cluster, systemIdentifier: '1' };
  const settings = { pgdata, relay: true };
  expect(await standbyStop({ settings } as unknown as ArchiverDeps, other, config)).toBe('nothing-to-do');
});
