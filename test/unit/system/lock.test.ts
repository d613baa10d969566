import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runCommand, startSession } from '../../../src/system/command.ts';
import { takeLock } from '../../../src/system/lock.ts';
import { temporaryDirectory } from './temporary.ts';

test('a lock excludes other processes until it is released', async () => {
  const path = join(temporaryDirectory(), 'lock');
  const lock = await takeLock(runCommand, path, 0);
  expect(await takeLock(runCommand, path, 0)).toBeUndefined();
  expect(await takeLock(runCommand, path, 50)).toBeUndefined();
  await lock?.release();
  const next = await takeLock(runCommand, path, 0);
  expect(next).toBeDefined();
  await next?.release();
});

test('the lock of a killed holder is free (bug of the original: a stale pid file stops shipping forever)', async () => {
  const path = join(temporaryDirectory(), 'lock');
  let holding: (() => void) | undefined;
  const held = new Promise<void>((resolve) => (holding = resolve));
  const script = 'exec 9>"$1"; flock -n 9; echo held; cat';
  const holder = startSession(
    { program: '/bin/sh', args: ['-c', script, 'sh', path] },
    { onLine: () => holding?.() },
  );
  await held;
  expect(await takeLock(runCommand, path, 0)).toBeUndefined();
  process.kill(-(holder.pid ?? Number.NaN), 'SIGKILL');
  await holder.ended;
  const lock = await takeLock(runCommand, path, 0);
  expect(lock).toBeDefined();
  await lock?.release();
});

test('a child that inherits the lock holds it after its parent has released it', async () => {
  const path = join(temporaryDirectory(), 'lock');
  const lock = await takeLock(runCommand, path, 0);
  if (lock === undefined) throw new Error('not locked');
  const child = startSession({ program: 'cat', args: [] }, { onLine: () => undefined, heldFds: [lock.fd] });
  await lock.release();
  expect(await takeLock(runCommand, path, 0)).toBeUndefined();
  child.close();
  await child.ended;
  const free = await takeLock(runCommand, path, 0);
  expect(free).toBeDefined();
  await free?.release();
});

test('a lock file that cannot be made is named', async () => {
  const path = join(temporaryDirectory(), 'none', 'lock');
  await expect(takeLock(runCommand, path, 0)).rejects.toThrow(`cannot open lock file "${path}"`);
});
