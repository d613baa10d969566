import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  judgeRemote,
  readProcesses,
  readPsql,
} from '../../../../src/standby/primary/liveness/remote-findings.ts';
import type { RemoteFinding } from '../../../../src/standby/primary/liveness/verdict.ts';
import { processScript, psqlScript } from '../../../../src/verbs/scripts/liveness.ts';
import { mayMount } from '../../../harness/own-mounts.ts';

const mayMountHere = await mayMount();

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

function run(script: string): readonly string[] {
  return execFileSync('/bin/sh', ['-c', script], { encoding: 'utf8' }).split('\n');
}

/** Runs the scripts as the primary's sh would. */
function look(psql: string, primaryPgdata: string | undefined, expected?: string): RemoteFinding {
  const question = {
    primaryPgdata,
    psql: { program: psql, args: [] },
    host: '127.0.0.1',
    port: 5432,
    user: 'postgres',
    database: 'postgres',
    limitS: 5,
  };
  const processes = readProcesses(run(processScript(primaryPgdata)), expected);
  return judgeRemote(processes, readPsql(run(psqlScript(question))));
}

const dead = (unsent: number | undefined, hasLooked = true) =>
  expect.objectContaining({ kind: 'dead', unsent, hasLooked }) as RemoteFinding;

function makePgdata(): string {
  const pgdata = join(directory, "d a't a");
  mkdirSync(join(pgdata, 'pg_wal', 'archive_status'), { recursive: true });
  writeFileSync(join(pgdata, 'PG_VERSION'), '15\n');
  return pgdata;
}

const refused = `echo 'psql: error: connection to server failed: Connection refused' >&2; exit 2`;

describe("the check on the primary's host", () => {
  test('finds a server alive if psql reaches it', () => {
    expect(look(psqlThat('echo 1'), undefined).kind).toBe('alive');
  });

  test('finds a server alive if it refuses psql, because it has answered', () => {
    const fatal = psqlThat(`echo 'psql: error: FATAL:  the database system is starting up' >&2; exit 2`);
    expect(look(fatal, undefined)).toMatchObject({
      kind: 'alive',
      by: expect.stringContaining('starting up') as string,
    });
  });

  test('finds a missing server or a data directory without one dead, and counts the files that wait to be archived', () => {
    const pgdata = makePgdata();
    writeFileSync(join(pgdata, 'pg_wal', 'archive_status', '000000010000000000000001.ready'), '');
    expect(look(psqlThat(refused), pgdata)).toEqual(dead(1));
    expect(look(psqlThat(refused), undefined)).toEqual(dead(undefined, false));
    expect(look('/nonexistent/psql', pgdata)).toEqual(dead(1));
  });

  test('treats a pid file as stale if its process is something else', () => {
    const pgdata = makePgdata();
    writeFileSync(join(pgdata, 'postmaster.pid'), `${process.pid}\n`);
    expect(look(psqlThat(refused), pgdata).kind).toBe('dead');
  });

  /** A process with a server's name and title that works in a directory. */
  async function serverIn(cwd: string, title?: string): Promise<ChildProcess> {
    const program = join(directory, 'postgres');
    copyFileSync('/bin/cat', program);
    chmodSync(program, 0o700);
    const running = spawn(program, [], {
      cwd,
      stdio: ['pipe', 'ignore', 'ignore'],
      ...(title === undefined ? {} : { argv0: title }),
    });
    await once(running, 'spawn');
    return running;
  }

  async function ended(running: ChildProcess): Promise<void> {
    running.kill('SIGKILL');
    if (running.exitCode === null && running.signalCode === null) await once(running, 'exit');
  }

  test('finds a living postmaster by its working directory, whatever its pid file contains, and by any path', async () => {
    const pgdata = makePgdata();
    const link = join(directory, 'link');
    symlinkSync(pgdata, link);
    const running = await serverIn(pgdata);
    const by = `its postmaster runs there (pid ${running.pid ?? ''})`;
    try {
      expect(look(psqlThat(refused), pgdata)).toEqual({ kind: 'alive', by, answers: true });
      writeFileSync(join(pgdata, 'postmaster.pid'), `${process.pid}\n`);
      expect(look(psqlThat(refused), link)).toEqual({ kind: 'alive', by, answers: true });
      writeFileSync(join(pgdata, 'postmaster.pid'), `${running.pid ?? ''}\n`);
      expect(look(psqlThat(refused), link)).toEqual({ kind: 'alive', by, answers: true });
      running.kill('SIGSTOP');
      expect(look(psqlThat(refused), pgdata)).toMatchObject({
        kind: 'alive',
        by: expect.stringContaining('(pid ') as string,
      });
    } finally {
      await ended(running);
    }
    expect(look(psqlThat(refused), pgdata).kind).toBe('dead');
  });

  // As the kernel shows it between exit_fs() and the end of the process.
  test.skipIf(!mayMountHere)(
    'counts a process without a working directory as hidden only if it stays: it may be the end of any server',
    () => {
      const pgdata = makePgdata();
      const proc = join(directory, 'proc');
      const server = join(proc, '4242');
      for (const name of [join(proc, 'self'), server]) mkdirSync(name, { recursive: true });
      writeFileSync(join(server, 'comm'), 'postgres\n');
      writeFileSync(join(server, 'stat'), '4242 (postgres) R 1 1\n');
      const see = (meanwhile: string) => {
        const inPlace = `sleep() { ${meanwhile}; }; mount --bind "$1" /proc && eval "$2"`;
        const shell = ['sh', '-c', inPlace, 'sh', proc, processScript(pgdata)];
        const command = ['--map-root-user', '--mount', '--', ...shell];
        const seen = execFileSync('/usr/bin/unshare', command, { encoding: 'utf8' });
        return readProcesses(seen.split('\n'), undefined).obstacle;
      };
      expect(see(':')).toContain('(pid 4242)');
      expect(see('rm -r /proc/4242')).toBeUndefined();
    },
  );

  test('ignores a server in another directory, even if that had the same path', async () => {
    const pgdata = makePgdata();
    const running = await serverIn(pgdata);
    try {
      renameSync(pgdata, `${pgdata}.old`);
      expect(look(psqlThat(refused), makePgdata()).kind).toBe('dead');
    } finally {
      await ended(running);
    }
  });

  test('does not take a process that serves no client for a living server, and names it', async () => {
    const pgdata = makePgdata();
    const running = await serverIn(pgdata, 'postgres: 15/main: checkpointer ');
    try {
      expect(look(psqlThat(refused), pgdata)).toMatchObject({
        kind: 'dead',
        notes: [
          `its server has ended, but some of its processes have not yet: checkpointer (pid ${running.pid ?? ''})`,
        ],
      });
    } finally {
      await ended(running);
    }
  });

  test('does not take the data directory of another cluster or of a standby for proof of death', () => {
    const pgdata = makePgdata();
    mkdirSync(join(pgdata, 'global'));
    const identifier = Buffer.alloc(8);
    identifier.writeBigUInt64LE(7_000_000_000_000_000_001n);
    writeFileSync(join(pgdata, 'global', 'pg_control'), identifier);
    expect(look(psqlThat(refused), pgdata, '7000000000000000001').kind).toBe('dead');
    expect(look(psqlThat(refused), pgdata, '7000000000000000002')).toEqual({
      kind: 'unclear',
      reason: expect.stringContaining(
        '(system identifier 7000000000000000001, not 7000000000000000002)',
      ) as string,
    });
    writeFileSync(join(pgdata, 'standby.signal'), '');
    expect(look(psqlThat(refused), pgdata, '7000000000000000001').kind).toBe('unclear');
  });

  test('takes a standby for a dead primary if a switchover has stopped it, and names the host', () => {
    const pgdata = makePgdata();
    writeFileSync(join(pgdata, 'standby.signal'), '');
    const note = { host: 'b', timeline: 1, token: 'aaaaaaaa' };
    const write = (record: unknown) => {
      writeFileSync(join(pgdata, 'pitrtools.json'), JSON.stringify(record, null, 2));
    };
    write({ stoppedFor: note, settings: { mode: 'standby', names: [], file: 'x' } });
    expect(look(psqlThat(refused), pgdata)).toMatchObject({ kind: 'dead', stoppedFor: note });
    for (const other of [{}, { stoppedFor: 'b' }, { stoppedFor: { host: 1 } }]) {
      write(other);
      expect(look(psqlThat(refused), pgdata).kind).toBe('unclear');
    }
    // One that was put back into service, and has died since.
    write({ stoppedFor: note });
    rmSync(join(pgdata, 'standby.signal'));
    expect(look(psqlThat(refused), pgdata)).toMatchObject({ kind: 'dead', stoppedFor: undefined });
  });

  test('ends psql before the limit of the whole check, and does not take its silence for proof', () => {
    const silent = psqlThat(`echo "psql: error: timeout expired after $PGCONNECT_TIMEOUT s" >&2; exit 2`);
    expect(look(silent, undefined)).toEqual({
      kind: 'unclear',
      reason: expect.stringContaining(
        'gets no answer there (psql: error: timeout expired after 3 s)',
      ) as string,
    });
    expect(look(silent, makePgdata()).kind).toBe('dead');
  });

  test('does not take a port that closes without an answer for a server if none is seen, but does if processes cannot be seen', () => {
    const closed = psqlThat(`echo 'psql: error: server closed the connection unexpectedly' >&2; exit 2`);
    expect(look(closed, makePgdata())).toMatchObject({
      kind: 'dead',
      notes: [expect.stringContaining('its port is held there by something that is no server')],
    });
    expect(look(closed, undefined)).toMatchObject({ kind: 'alive', answers: false });
  });

  test('proves nothing without psql and without a data directory', () => {
    expect(look('/nonexistent/psql', undefined).kind).toBe('unclear');
    expect(look('/nonexistent/psql', join(directory, 'elsewhere')).kind).toBe('unclear');
  });
});
