import { chmodSync, mkdirSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { startSession } from '../../../src/system/command.ts';
import { readPostmaster } from '../../../src/system/postmaster.ts';
import { temporaryDirectory } from './temporary.ts';

function pidFile(content: string): string {
  const pgdata = temporaryDirectory();
  writeFileSync(join(pgdata, 'postmaster.pid'), content);
  return pgdata;
}

/** A living process that has `pgdata` as its working directory, as a postmaster has. */
async function withProcessIn<T>(pgdata: string, use: (pid: number) => Promise<T>): Promise<T> {
  let up: (() => void) | undefined;
  const ready = new Promise<void>((resolve) => (up = resolve));
  const script = 'cd "$1" && echo up && exec cat';
  const session = startSession(
    { program: '/bin/sh', args: ['-c', script, 'sh', pgdata] },
    { onLine: () => up?.() },
  );
  await ready;
  try {
    return await use(session.pid ?? 0);
  } finally {
    session.kill();
    await session.ended;
  }
}

describe('whether a server runs', () => {
  test('no pid file and no process mean that it does not run', async () => {
    expect(await readPostmaster(temporaryDirectory())).toEqual({ kind: 'none' });
    expect(await readPostmaster('/nonexistent/pgdata')).toEqual({ kind: 'none' });
  });

  test('a living process that works in pgdata means that it runs, with the values in the file', async () => {
    const pgdata = pidFile('');
    await withProcessIn(pgdata, async (pid) => {
      writeFileSync(
        join(pgdata, 'postmaster.pid'),
        `${pid}\n${pgdata}\n1700000000\n5433\n/run/pg\nlocalhost\n  1 2\nready\n`,
      );
      expect(await readPostmaster(pgdata)).toEqual({
        kind: 'running',
        pid,
        port: 5433,
        socketDirectory: '/run/pg',
        listenAddress: 'localhost',
      });
      // 8.4 and 9.0 write two lines only.
      writeFileSync(join(pgdata, 'postmaster.pid'), `${pid}\n${pgdata}\n`);
      expect(await readPostmaster(pgdata)).toMatchObject({ kind: 'running', port: undefined });
    });
  });

  test('a pid that another program got since means that the file is stale', async () => {
    expect(await readPostmaster(pidFile(`${process.pid}\n/elsewhere\n`))).toEqual({
      kind: 'stale',
      pid: process.pid,
    });
    expect(await readPostmaster(pidFile('4194303\n/elsewhere\n'))).toEqual({ kind: 'stale', pid: 4194303 });
  });

  test('a server is recognized by its directory, by whatever path: a link', async () => {
    const pgdata = pidFile('');
    const link = `${pgdata}.link`;
    symlinkSync(pgdata, link);
    await withProcessIn(link, async (pid) => {
      writeFileSync(join(pgdata, 'postmaster.pid'), `${pid}\n${link}\n`);
      expect(await readPostmaster(pgdata)).toMatchObject({ kind: 'running', pid });
      expect(await readPostmaster(link)).toMatchObject({ kind: 'running', pid });
    });
    unlinkSync(link);
  });

  test('a process in a directory that had the same path before belongs to another server', async () => {
    const pgdata = pidFile('');
    await withProcessIn(pgdata, async (pid) => {
      renameSync(pgdata, `${pgdata}.before`);
      mkdirSync(pgdata);
      writeFileSync(join(pgdata, 'postmaster.pid'), `${pid}\n${pgdata}\n`);
      expect(await readPostmaster(pgdata)).toEqual({ kind: 'stale', pid });
      rmSync(`${pgdata}.before`, { recursive: true });
    });
  });

  test('an unreadable pid file means that the state is unknown (bug of the original: any error while reading the pid file means "not running")', async () => {
    expect(await readPostmaster(pidFile('garbage\n'))).toMatchObject({ kind: 'unclear' });
    expect(await readPostmaster(pidFile(''))).toMatchObject({ kind: 'unclear' });
    const pgdata = pidFile('1\n');
    chmodSync(join(pgdata, 'postmaster.pid'), 0o000);
    const isRoot = process.getuid?.() === 0;
    if (!isRoot) expect(await readPostmaster(pgdata)).toMatchObject({ kind: 'unclear' });
    const file = join(temporaryDirectory(), 'file');
    writeFileSync(file, '');
    expect(await readPostmaster(file)).toEqual({ kind: 'none' });
  });
});
