import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCommand, startSession } from '../../src/system/command.ts';
import { textLog } from '../../src/system/log.ts';
import { withPsql } from '../../src/system/psql.ts';
import type { PsqlTarget } from '../../src/system/psql-failure.ts';
import { remotePath, rsyncCommand, rsyncOutcome } from '../../src/system/rsync.ts';
import { type RemoteShell, type SshTarget, withRemoteShell } from '../../src/system/ssh.ts';
import type { Host } from '../harness/host.ts';
import { hangingListener } from '../harness/network.ts';
import { clientProgram, testMajors } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import { createWorld, type World } from '../harness/world.ts';

const patience = { limitMs: 120_000 };
const major = testMajors().at(-1) ?? 18;

let world: World;
let here: Host;
let primary: Primary;
const deps = { startSession, log: textLog({ debug: false }, () => undefined) };

beforeAll(async () => {
  world = await createWorld({ major });
  here = await world.host('here');
  primary = await world.startPrimary({ settings: { archive_mode: false } });
});

afterAll(async () => {
  await world.close();
});

function targetOf(host: Host, change: Partial<SshTarget> = {}): SshTarget {
  const [program = '', ...args] = here.ssh.split(' ');
  return {
    host: host.name,
    what: 'the other host',
    user: world.user,
    ssh: { program, args },
    connectTimeoutS: 5,
    debug: false,
    ...change,
  };
}

async function connected<T>(use: (shell: RemoteShell) => Promise<T>): Promise<T> {
  const result = await withRemoteShell(deps, targetOf(primary.host), use);
  if (result.kind !== 'used') throw new Error(result.reason);
  return result.value;
}

const socketDirectories = () =>
  readdirSync(join(tmpdir(), `pitrtools-${process.getuid?.() ?? 0}`)).filter((name) =>
    name.startsWith(`${process.pid}-`),
  );

/** The line by which a connection is begun; the connection works. */
async function connectingLine(flags: readonly string[]): Promise<string> {
  const lines: string[] = [];
  const log = textLog({ debug: true }, (line) => lines.push(line));
  const { ssh } = targetOf(primary.host);
  const target = targetOf(primary.host, { ssh: { ...ssh, args: [...flags, ...ssh.args] }, isForMuch: true });
  const result = await withRemoteShell({ startSession, log }, target, (shell) =>
    shell.run('echo here', patience),
  );
  expect(result).toMatchObject({ kind: 'used', value: { kind: 'done', lines: ['here'] } });
  return lines.find((line) => line.includes('connecting: ')) ?? '';
}

describe('an ssh connection', () => {
  test('over which much is sent changes the order of ciphers only where nobody has configured any', async () => {
    const own = await connectingLine([]);
    const aes = /^(?:flags|Features)\s*:.*\baes\b/m.test(readFileSync('/proc/cpuinfo', 'latin1'));
    if (aes) expect(own).toMatch(/ -o Ciphers=aes128-gcm@openssh\.com,chacha20-poly1305@openssh\.com,/);
    else expect(own).not.toContain('Ciphers');
    expect(await connectingLine(['-c', 'aes256-ctr'])).not.toContain('Ciphers=');
  });

  test('runs scripts one after the other, each with its own status and output', async () => {
    const answers = await connected(async (shell) => [
      await shell.run('echo one; printf "no line feed"; exit 3', patience),
      await shell.run('cat; pwd >/dev/null; echo two', patience),
      await shell.run("echo '@pitrtools 123 0'", patience),
    ]);
    expect(answers).toEqual([
      { kind: 'done', status: 3, lines: ['one', 'no line feed'] },
      { kind: 'done', status: 0, lines: ['two'] },
      { kind: 'done', status: 0, lines: ['@pitrtools 123 0'] },
    ]);
  });

  test('leaves no socket directory behind, even after an error', async () => {
    await expect(
      connected(() => {
        throw new Error('in between');
      }),
    ).rejects.toThrow('in between');
    expect(socketDirectories()).toEqual([]);
  });

  test('transports rsync for a path with blanks and quotes', async () => {
    const source = join(here.directory, 'source');
    const target = join(primary.host.directory, `it's a "target" $HOME`);
    writeFileSync(source, 'bytes');
    const outcome = await connected(async (shell) => {
      const program = { rsync: { program: 'rsync', args: [] }, flags: ['-z'], version: 3 } as const;
      const to = remotePath(shell, program, target);
      return rsyncOutcome(await runCommand(rsyncCommand(shell, program, 10, ['-t', source, to]), patience));
    });
    expect(outcome).toEqual({ kind: 'whole' });
    expect(existsSync(target)).toBe(true);
  });

  test('is closed if a script exceeds its limit, and the next script gets this as its error', async () => {
    const [first, second] = await connected(async (shell) => [
      await shell.run('sleep 2', { limitMs: 200 }),
      await shell.run('echo', patience),
    ]);
    expect(first).toMatchObject({ kind: 'lost' });
    expect(second).toEqual(first);
  });

  test('returns a value if it is cut while a script runs', async () => {
    const victim = await world.host('victim');
    const result = await withRemoteShell(deps, targetOf(victim), async (shell) => {
      const running = shell.run('echo started; sleep 300', patience);
      await victim.sshd.kill();
      return running;
    });
    expect(result).toMatchObject({ kind: 'used', value: { kind: 'lost' } });
  });
});

describe('an ssh connection that cannot be made', () => {
  test('names the host that refuses it, with the reason of ssh', async () => {
    const gone = await world.host('gone');
    await gone.sshd.kill();
    const result = await withRemoteShell(deps, targetOf(gone), () => Promise.resolve());
    expect(result).toMatchObject({ kind: 'unreachable' });
    expect(result.kind === 'unreachable' && result.reason).toContain('Connection refused');
  });

  test('is given up after the limit if the host accepts and does not answer', async () => {
    const silent = await world.host('silent');
    const listener = await hangingListener();
    world.onClose(() => listener.close());
    here.routeTo(silent, listener);
    const result = await withRemoteShell(deps, targetOf(silent, { connectTimeoutS: 1 }), () =>
      Promise.resolve(),
    );
    expect(result.kind).toBe('unreachable');
    expect(socketDirectories()).toEqual([]);
  });

  test('names the ssh program that does not exist', async () => {
    const ssh = { program: '/nonexistent/ssh', args: [] };
    const result = await withRemoteShell(deps, targetOf(primary.host, { ssh }), () => Promise.resolve());
    expect(result.kind === 'unreachable' && result.reason).toContain('/nonexistent/ssh');
  });
});

describe('psql over the connection', () => {
  const target = (change: Partial<PsqlTarget> = {}): PsqlTarget => ({
    psql: { program: clientProgram('psql'), args: [] },
    host: '127.0.0.1',
    port: primary.port,
    user: primary.user,
    database: 'postgres',
    ...change,
  });
  const ask = (queries: readonly string[], change: Partial<PsqlTarget> = {}) =>
    connected((shell) =>
      withPsql(shell, target(change), deps.log, async (psql) => {
        const answers = [];
        for (const query of queries) answers.push(await psql.query(query, 30_000));
        return answers;
      }),
    );

  test('keeps one session, and returns rows with line feeds, empty fields and unusual characters unchanged', async () => {
    const answers = await ask([
      'CREATE TEMP TABLE t (a text, b text)',
      `INSERT INTO t VALUES (E'x\\ny', ''), ('|', NULL), ('', E'z\\n')`,
      'SELECT a, b FROM t',
      'SELECT a FROM t WHERE false',
      "SELECT E'line\\n'",
    ]);
    expect(answers).toEqual([
      [],
      [],
      [
        ['x\ny', ''],
        ['|', ''],
        ['', 'z\n'],
      ],
      [],
      [['line\n']],
    ]);
  });

  test('ends the session with the text of an error of the server', async () => {
    await expect(ask(['SELECT 1/0'])).rejects.toMatchObject({
      message: expect.stringContaining('psql on the other host') as string,
      detail: expect.stringContaining('division by zero') as string,
    });
  });

  test('distinguishes a server that does not run from a psql that does not exist', async () => {
    await expect(ask(['SELECT 1'], { port: 1 })).rejects.toMatchObject({
      detail: expect.stringContaining('Connection refused') as string,
    });
    const psql = { program: '/nonexistent/psql', args: [] };
    await expect(ask(['SELECT 1'], { psql })).rejects.toMatchObject({
      message: 'cannot run "/nonexistent/psql" on the other host',
      hint: expect.stringContaining('r_psql') as string,
    });
  });

  test('gives up a statement that exceeds its limit', async () => {
    const slow = connected((shell) =>
      withPsql(shell, target(), deps.log, (psql) => psql.query('SELECT pg_sleep(300)', 300)),
    );
    await expect(slow).rejects.toThrow('did not answer');
  });
});
