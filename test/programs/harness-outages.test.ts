import { existsSync, openSync, readSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { hasSmallDisks, smallDisk } from '../harness/disk.ts';
import { eventually } from '../harness/eventually.ts';
import { accepts, hangingListener, packetSink, refusedPort } from '../harness/network.ts';
import { testMajors } from '../harness/postgres-programs.ts';
import { start } from '../harness/processes.ts';
import { test } from '../harness/test.ts';
import { buildWal, segmentNumber, walMagic, walName } from '../harness/wal.ts';
import { createWorld } from '../harness/world.ts';

test.override({ major: testMajors().at(-1) ?? 15 });

describe('the sshd of a host in the harness', () => {
  const quick = { limitMs: 1_500 };

  test('accepts connections without an answer while it is frozen, and continues afterwards', async ({
    world,
  }) => {
    const [a, b] = [await world.host('a'), await world.host('b')];
    b.sshd.freeze();
    expect(await accepts(b.address, b.sshd.port)).toBe(true);
    expect((await a.runOn('b', 'true', quick)).timedOut).toBe(true);
    b.sshd.thaw();
    expect((await a.runOn('b', 'true')).code).toBe(0);
  });

  test('ends its sessions when it is killed', async ({ world }) => {
    const [a, b] = [await world.host('a'), await world.host('b')];
    const mark = join(b.directory, 'began');
    const session = a.runOn('b', `touch ${mark}; exec sleep 60`);
    await eventually(() => existsSync(mark));
    await b.sshd.kill();
    expect(await session).toMatchObject({ code: 255, timedOut: false });
  });

  test('does not answer while a listener in its place hangs', async ({ world }) => {
    const [a, b] = [await world.host('a'), await world.host('b')];
    const silent = await hangingListener();
    world.onClose(() => silent.close());
    a.routeTo(b, silent);
    expect(await accepts(silent.address, silent.port)).toBe(true);
    expect((await a.runOn('b', 'true', quick)).timedOut).toBe(true);
  });

  test('neither refuses nor accepts a connection if all packets are dropped', async ({ world }) => {
    const [a, b] = [await world.host('a'), await world.host('b')];
    await b.sshd.kill();
    const sink = await packetSink(b.sshd);
    world.onClose(() => sink.close());
    expect(await accepts(b.address, b.sshd.port)).toBe(false);
    expect((await a.runOn('b', 'true', quick)).timedOut).toBe(true);
    await sink.close();
    await b.sshd.start();
    expect((await a.runOn('b', 'true')).code).toBe(0);
  });

  test('ends a connection attempt at once if it is refused', async ({ world }) => {
    const [a, b] = [await world.host('a'), await world.host('b')];
    const nobody = await refusedPort();
    world.onClose(() => nobody.close());
    a.routeTo(b, nobody);
    expect(await a.runOn('b', 'true', quick)).toMatchObject({ code: 255, timedOut: false });
  });
});

test('a process that outlives its world is an error, and is ended', async ({ world }) => {
  const doomed = await createWorld({ major: world.major });
  const left = start('sleep', ['300'], { cwd: doomed.directory });
  await expect(doomed.close()).rejects.toThrow(`${left.pid} sleep 300`);
  expect((await left.finished).signal).toBe('SIGKILL');
  expect(existsSync(doomed.directory)).toBe(false);
});

test.skipIf(!hasSmallDisks())('a small disk can be filled and freed again', async () => {
  const disk = await smallDisk();
  try {
    const write = (): void => {
      writeFileSync(
        join(disk.directory, 'segment'),
        buildWal({ name: walName(1, 1n), systemIdentifier: 1n, version: '15' }),
      );
    };
    disk.fill(1024 * 1024);
    expect(disk.freeBytes()).toBeLessThan(1024 * 1024 + 8192);
    expect(write).toThrow('ENOSPC');
    disk.relieve();
    write();
    const other = await smallDisk();
    expect(other.directory).not.toBe(disk.directory);
    other.release();
  } finally {
    disk.release();
  }
});

describe('a synthetic segment', () => {
  test.each(testMajors())('begins like a real segment of PostgreSQL %i', async (major) => {
    const real = await createWorld({ major });
    try {
      const primary = await real.startPrimary({ settings: { archive_mode: false } });
      const name = await primary.switchWal();
      const systemIdentifier = BigInt(
        await primary.value('SELECT system_identifier::text FROM pg_control_system()'),
      );
      const made = buildWal({ name, systemIdentifier, version: String(major) });
      const file = join(primary.pgdata, 'pg_wal', name);
      expect(made.length).toBe(statSync(file).size);
      // A real page may say how much of a record continues from the page before.
      expect(firstBytes(file, 16)).toEqual(made.subarray(0, 16).toString('hex'));
      expect(firstBytes(file, 40).slice(48)).toEqual(made.subarray(24, 40).toString('hex'));
    } finally {
      await real.close();
    }
  });

  test('is the same only for the same seed', () => {
    const spec = { name: walName(1, 7n), systemIdentifier: 42n, version: '11', segmentBytes: 1024 * 1024 };
    expect(buildWal(spec).equals(buildWal({ ...spec }))).toBe(true);
    expect(buildWal(spec).equals(buildWal({ ...spec, seed: 2 }))).toBe(false);
  });

  test('has its address in two halves for 9.2 and skips FF', () => {
    expect(walName(1, 255n, '9.2')).toBe('000000010000000100000000');
    expect(walName(1, 255n, '9.3')).toBe('0000000100000000000000FF');
    expect(segmentNumber('000000010000000100000000', '9.2')).toBe(255n);
    const bytes = buildWal({ name: '000000020000000300000004', systemIdentifier: 9n, version: '9.2' });
    expect(bytes.readUInt16LE(0)).toBe(walMagic('9.2'));
    expect([bytes.readUInt32LE(4), bytes.readUInt32LE(8), bytes.readUInt32LE(12)]).toEqual([
      2, 3, 0x04000000,
    ]);
    expect(bytes.readBigUInt64LE(16)).toBe(9n);
  });
});

function firstBytes(file: string, length: number): string {
  const bytes = Buffer.alloc(length);
  readSync(openSync(file, 'r'), bytes, 0, length, 0);
  return bytes.toString('hex');
}
