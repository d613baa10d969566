import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  readFindings,
  remoteScript,
  type RemoteFinding,
} from '../../../../src/standby/liveness/remote-script.ts';

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pitrtools-unit-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

function psqlThat(script: string): string {
  const path = join(directory, "p'sql");
  writeFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o700 });
  return path;
}

/** Runs the script as the primary's sh would. */
function look(psql: string, primaryPgdata: string | undefined): RemoteFinding {
  const question = {
    psql: { program: psql, args: [] },
    host: '127.0.0.1',
    port: 5432,
    user: 'postgres',
    limitS: 5,
  };
  const script = remoteScript({ ...question, primaryPgdata });
  return readFindings(execFileSync('/bin/sh', ['-c', script], { encoding: 'utf8' }).split('\n'));
}

function makePgdata(): string {
  const pgdata = join(directory, "d a't a");
  mkdirSync(join(pgdata, 'pg_wal', 'archive_status'), { recursive: true });
  writeFileSync(join(pgdata, 'PG_VERSION'), '15\n');
  return pgdata;
}

const refused = `echo 'psql: error: connection to server failed: Connection refused' >&2; exit 2`;

describe("the look at the primary's host", () => {
  test('a server that psql reaches is alive', () => {
    expect(look(psqlThat('echo 1'), undefined).kind).toBe('alive');
  });

  test('a server that refuses psql is alive: it answered', () => {
    const fatal = psqlThat(`echo 'psql: error: FATAL:  the database system is starting up' >&2; exit 2`);
    expect(look(fatal, undefined)).toEqual({
      kind: 'alive',
      by: expect.stringContaining('starting up') as string,
    });
  });

  test('no server, and a data directory without one, is dead; what waits to be archived is counted', () => {
    const pgdata = makePgdata();
    writeFileSync(join(pgdata, 'pg_wal', 'archive_status', '000000010000000000000001.ready'), '');
    expect(look(psqlThat(refused), pgdata)).toEqual({ kind: 'dead', unsent: 1 });
    expect(look(psqlThat(refused), undefined)).toEqual({ kind: 'dead', unsent: undefined });
    expect(look('/nonexistent/psql', pgdata)).toEqual({ kind: 'dead', unsent: 1 });
  });

  test('a pid file of a process that is something else is stale', () => {
    const pgdata = makePgdata();
    writeFileSync(join(pgdata, 'postmaster.pid'), `${process.pid}\n`);
    expect(look(psqlThat(refused), pgdata).kind).toBe('dead');
  });

  test('a living postmaster needs no psql', () => {
    const pgdata = makePgdata();
    const postmaster = join(directory, 'postgres');
    copyFileSync('/bin/sleep', postmaster);
    chmodSync(postmaster, 0o700);
    const running = spawn(postmaster, ['60'], { cwd: pgdata, stdio: 'ignore' });
    try {
      expect(look(psqlThat(refused), pgdata)).toEqual({
        kind: 'alive',
        by: `server processes still run there (pid ${running.pid ?? ''})`,
      });
      writeFileSync(join(pgdata, 'postmaster.pid'), `${running.pid ?? ''}\n`);
      expect(look(psqlThat(`touch '${directory}/asked'`), pgdata).kind).toBe('alive');
      expect(existsSync(join(directory, 'asked'))).toBe(false);
    } finally {
      running.kill();
    }
  });

  test('psql must end before the limit of the whole look, and its silence proves nothing', () => {
    const silent = psqlThat(`echo "psql: error: timeout expired after $PGCONNECT_TIMEOUT s" >&2; exit 2`);
    expect(look(silent, undefined)).toEqual({
      kind: 'unclear',
      reason: expect.stringContaining(
        'gets no answer there (psql: error: timeout expired after 3 s)',
      ) as string,
    });
    expect(look(silent, makePgdata()).kind).toBe('dead');
  });

  test('without psql and without a data directory nothing is proven', () => {
    expect(look('/nonexistent/psql', undefined).kind).toBe('unclear');
    expect(look('/nonexistent/psql', join(directory, 'elsewhere')).kind).toBe('unclear');
  });
});
