import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { capabilitiesOf } from '../../../../src/postgres/capabilities.ts';
import { parseVersion } from '../../../../src/postgres/version.ts';
import type { StandbyDeps } from '../../../../src/standby/deps.ts';
import { readControlFile } from '../../../../src/standby/server/data-directory.ts';
import { notStartedHere, type Started } from '../../../../src/standby/server/local-server.ts';
import { serverOf } from '../../../../src/standby/server/server.ts';
import {
  observeServer,
  type ServerState,
  settledPostmaster,
  withLocalServer,
} from '../../../../src/standby/server/server-state.ts';
import type { LocalServer } from '../../../../src/system/libpq-access.ts';
import type { LocalResult, LocalSql } from '../../../../src/system/local-sql.ts';
import { controlFile } from '../../postgres/fixtures/build.ts';

const inArchiveRecovery = 5;
const inProduction = 6;
/** What the made files say. */
const controlTimeS = 1_350_000_000;
const capabilities = capabilitiesOf(parseVersion('15'));

let pgdata: string;
/** Stands for a postmaster: it sits in the data directory and answers nothing. */
let postmaster: ChildProcess;

beforeEach(() => {
  pgdata = realpathSync(mkdtempSync(join(tmpdir(), 'pitrtools-state-')));
  mkdirSync(join(pgdata, 'global'));
  postmaster = spawn('sleep', ['60'], { cwd: pgdata, stdio: 'ignore' });
  writeFileSync(join(pgdata, 'postmaster.pid'), `${postmaster.pid ?? ''}\n${pgdata}\n`);
});

afterEach(() => {
  postmaster.kill();
  rmSync(pgdata, { recursive: true });
});

function writeControl(state: number, redo: bigint, minRecovery = 0n): void {
  const fields = { controlVersion: 1300, catalogVersion: 202209061, checksum: 'crc32c' } as const;
  writeFileSync(
    join(pgdata, 'global', 'pg_control'),
    controlFile({ ...fields, state, timeline: 1, redo, minRecovery }),
  );
}

async function stateSeen(started?: Started, at = pgdata): Promise<ServerState> {
  const deps = {
    settings: { pgdata: at, port: 5432, pg_conf: undefined, no_copy_conf: false },
    withLocalSql: () => Promise.resolve({ kind: 'not-accepting', reason: 'starting up' }),
    log: { debug: () => undefined },
  } as unknown as StandbyDeps;
  return observeServer(serverOf(deps, capabilities), started);
}

async function observe(started?: Started): Promise<string> {
  return (await stateSeen(started)).kind;
}

async function progressAt(path: string): Promise<string> {
  const state = await stateSeen(notStartedHere, path);
  return 'progress' in state ? state.progress : '';
}

async function startedAt(atS: number): Promise<Started> {
  return { logOffset: 0, atS, control: await readControlFile(pgdata) };
}

describe('a server that does not answer and was just started', () => {
  test('is not in production only because the primary was when pg_control was copied', async () => {
    writeControl(inProduction, 0x5000028n);
    const started = await startedAt(controlTimeS);
    expect(await observe(started)).toBe('starting');
    writeControl(inArchiveRecovery, 0x5000028n);
    expect(await observe(started)).toBe('recovering');
    writeControl(inProduction, 0x6000028n);
    expect(await observe(started)).toBe('production');
  });

  test('does not recover only because an earlier run did', async () => {
    writeControl(inArchiveRecovery, 0x5000028n);
    expect(await observe(await startedAt(controlTimeS + 1))).toBe('starting');
    expect(await observe(await startedAt(controlTimeS))).toBe('recovering');
  });
});

describe('a server that does not answer and was already running', () => {
  test('has the state in its pg_control', async () => {
    writeControl(inProduction, 0x5000028n);
    expect(await observe(notStartedHere)).toBe('production');
    writeControl(inArchiveRecovery, 0x5000028n);
    expect(await observe(notStartedHere)).toBe('recovering');
  });

  test('is starting as long as its base backup has its label', async () => {
    writeControl(inProduction, 0x5000028n);
    writeFileSync(join(pgdata, 'backup_label'), '');
    expect(await observe(notStartedHere)).toBe('starting');
    writeControl(inArchiveRecovery, 0x5000028n);
    expect(await observe(notStartedHere)).toBe('recovering');
  });
});

describe('a server that answers no query while it recovers (8.4)', () => {
  test('is queried only once it may have opened, because it logs a refusal of each query', async () => {
    let asked = 0;
    const deps = {
      settings: { pgdata, port: 5432, pg_conf: undefined, no_copy_conf: false },
      withLocalSql: () => {
        asked += 1;
        return Promise.resolve({ kind: 'not-accepting', reason: 'starting up' });
      },
      log: { debug: () => undefined },
    } as unknown as StandbyDeps;
    const old = capabilitiesOf(parseVersion('8.4'));
    const fields = { controlVersion: 843, catalogVersion: 200904091, checksum: 'legacy' } as const;
    const write = (state: number) => {
      const content = controlFile({ ...fields, state, timeline: 1, redo: 0x5000028n, minRecovery: 0n });
      writeFileSync(join(pgdata, 'global', 'pg_control'), content);
    };
    // As 8.4 numbers them.
    const [recovering, production] = [4, 5];
    write(recovering);
    expect(await observeServer(serverOf(deps, old))).toMatchObject({ kind: 'recovering', answers: false });
    expect(asked).toBe(0);
    write(production);
    await observeServer(serverOf(deps, old));
    expect(asked).toBeGreaterThan(0);
  });
});

describe('the progress of a server that does not answer', () => {
  test('shows the segment that is being replayed, also if pgdata is a symbolic link', async () => {
    writeControl(inArchiveRecovery, 0x5000028n);
    const title = 'postgres: startup recovering 000000010000000000000007';
    const startup = spawn('sleep', ['60'], { argv0: title, cwd: pgdata, stdio: 'ignore' });
    const link = `${pgdata}.link`;
    symlinkSync(pgdata, link);
    try {
      expect(await progressAt(pgdata)).toContain(title);
      expect(await progressAt(link)).toContain(title);
    } finally {
      unlinkSync(link);
      startup.kill();
    }
  });

  test('changes with each write of pg_control, also between restartpoints', async () => {
    writeControl(inArchiveRecovery, 0x5000028n);
    const before = await progressAt(pgdata);
    expect(await progressAt(pgdata)).toBe(before);
    writeControl(inArchiveRecovery, 0x5000028n, 0x7000000n);
    expect(await progressAt(pgdata)).not.toBe(before);
  });
});

describe('a server without its port in the pid file (up to 9.0)', () => {
  const old = capabilitiesOf(parseVersion('9.0'));

  /** Only one port answers, from this data directory; the others refuse. Returns the ports asked as well. */
  async function askWhere(port: number, dataDirectory: string) {
    const asked: number[] = [];
    const conf = (name: string, text: string): string => {
      writeFileSync(join(pgdata, name), text);
      return join(pgdata, name);
    };
    const settings = {
      pgdata,
      pg_conf: conf('standby.conf', 'port = 5433\n'),
      pg_conf_failover: conf('failover.conf', 'port = 5434\n'),
    };
    const sql: LocalSql = () => Promise.resolve([{ data_directory: dataDirectory }]);
    const withLocalSql = async (
      server: LocalServer,
      _limitMs: number,
      use: (sql: LocalSql) => Promise<unknown>,
    ): Promise<LocalResult<unknown>> => {
      asked.push(server.port);
      const refused = { kind: 'no-server', reason: `refused at ${server.port}` } as const;
      if (server.port !== port) return refused;
      return use(sql).then(
        (value) => ({ kind: 'answered', value }),
        (error: unknown) => ({ kind: 'no-server', reason: (error as Error).message }),
      );
    };
    const deps = { settings, withLocalSql } as unknown as StandbyDeps;
    return { answer: await withLocalServer(serverOf(deps, old), () => Promise.resolve('answer')), asked };
  }

  const answered = { kind: 'answered', value: 'answer' };

  test("is queried at the standby's port, then at the port after a failover", async () => {
    expect(await askWhere(5433, pgdata)).toEqual({ answer: answered, asked: [5433] });
    expect(await askWhere(5434, pgdata)).toEqual({ answer: answered, asked: [5433, 5434] });
    expect((await askWhere(5432, pgdata)).answer).toEqual({
      kind: 'no-server',
      reason: 'refused at 5433; refused at 5434',
    });
  });

  test('is not mistaken for another server at the port after a failover', async () => {
    expect((await askWhere(5434, '/the/primary')).answer).toMatchObject({
      kind: 'no-server',
      reason: expect.stringContaining('is another one') as string,
    });
  });

  test('is queried only at the port in its pid file', async () => {
    writeFileSync(join(pgdata, 'postmaster.pid'), `${postmaster.pid ?? ''}\n${pgdata}\n0\n5431\n/run/pg\n`);
    expect((await askWhere(5434, pgdata)).asked).toEqual([5431]);
  });

  test('is not queried before it listens (from 9.1): another server may be at its port', async () => {
    writeFileSync(join(pgdata, 'postmaster.pid'), `${postmaster.pid ?? ''}\n${pgdata}\n0\n5433\n`);
    const { answer, asked } = await askWhere(5433, pgdata);
    expect(answer.kind).toBe('no-server');
    expect(asked).toEqual([]);
  });
});

test('a server counts as having written its state since its start, although the clock was set back meanwhile', async () => {
  writeControl(inArchiveRecovery, 0x2000028n);
  const before = await readControlFile(pgdata);
  const atS = Number(before?.time ?? 0n) + 3600;
  expect(await observe({ logOffset: 0, atS, control: before })).toBe('starting');
  writeControl(inArchiveRecovery, 0x3000028n);
  expect(await observe({ logOffset: 0, atS, control: before })).toBe('recovering');
});

describe('a remaining process of a killed server', () => {
  /** A process of a server with this title; its program is called as a server's. */
  async function leftover(title: string): Promise<ChildProcess> {
    postmaster.kill();
    unlinkSync(join(pgdata, 'postmaster.pid'));
    const program = join(pgdata, 'postgres');
    copyFileSync('/bin/cat', program);
    chmodSync(program, 0o700);
    const child = spawn(program, [], { argv0: title, cwd: pgdata, stdio: ['pipe', 'ignore', 'ignore'] });
    await once(child, 'spawn');
    return child;
  }

  /** A clock that runs by its pauses alone; `end` is called in the third of them. */
  async function settled(end: () => Promise<void>) {
    let nowMs = 0;
    let pauses = 0;
    const found = await settledPostmaster({
      settings: { pgdata, failover_probe_timeout: 5 } as StandbyDeps['settings'],
      monotonicMs: () => nowMs,
      pause: async (ms) => {
        nowMs += ms;
        pauses += 1;
        if (pauses === 3) await end();
      },
    });
    return { found, pauses };
  }

  async function kill(child: ChildProcess): Promise<void> {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }

  test('is waited for if it serves no client', async () => {
    const child = await leftover('postgres: checkpointer ');
    expect(await settled(() => kill(child))).toEqual({ found: { kind: 'none' }, pauses: 3 });
  });

  test('is named if it has not ended within the limit', async () => {
    const child = await leftover('postgres: checkpointer ');
    const { found } = await settled(() => Promise.resolve());
    await kill(child);
    expect(found).toMatchObject({
      kind: 'unclear',
      reason: expect.stringContaining(`checkpointer (pid ${child.pid ?? ''})`) as string,
    });
  });

  test('is not waited for if it may serve a client', async () => {
    const child = await leftover('postgres: joe shop [local] COMMIT');
    const { found, pauses } = await settled(() => Promise.resolve());
    await kill(child);
    expect([found.kind, pauses]).toEqual(['unclear', 0]);
  });
});
