import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { StandbyDeps } from '../../../../src/standby/deps.ts';
import { changeRecord, readRecord } from '../../../../src/standby/host/backup-record/record.ts';
import { writeRecoverySettings } from '../../../../src/standby/recovery/files.ts';
import {
  endLeftPause,
  isPauseNoted,
  notePause,
  sayLeftPause,
} from '../../../../src/standby/recovery/left-pause.ts';
import { recoverySettings } from '../../../../src/standby/recovery/settings.ts';
import { serverOf } from '../../../../src/standby/server/server.ts';
import { dataDirectory, place } from '../standby-facts.ts';

let pgdata = '';
const lines: string[] = [];
beforeEach(() => {
  lines.length = 0;
  pgdata = mkdtempSync(join(tmpdir(), 'pitrtools-unit-'));
});
afterEach(() => {
  rmSync(pgdata, { recursive: true, force: true });
});

const say = (line: string) => lines.push(line);
const { capabilities } = dataDirectory('15');
const deps = (lockCode: number) =>
  ({
    settings: { pgdata, archivedir: pgdata, recovery_conf: '' },
    log: { warning: say, notice: say, debug: () => undefined },
    signal: new AbortController().signal,
    run: () => Promise.resolve({ kind: 'exited', code: lockCode, stdout: '', stderr: '' }),
  }) as unknown as StandbyDeps;

test('a pause of the replay is noted until its server ends or gets other settings', async () => {
  const server = serverOf(deps(0), capabilities);
  await notePause(server);
  expect(await readRecord(pgdata)).toEqual({});

  const process = spawn('sleep', ['60'], { cwd: pgdata });
  writeFileSync(join(pgdata, 'postmaster.pid'), `${process.pid ?? 0}\n${pgdata}\n1700000000\n`);
  await notePause(server);
  const noted = await readRecord(pgdata);
  expect(isPauseNoted(noted)).toBe(true);
  sayLeftPause(deps(0), noted);
  expect(lines.splice(0)).toEqual([expect.stringContaining('has paused the replay')]);
  // Another process of that number.
  expect(isPauseNoted({ pausedServer: { pid: process.pid ?? 0, start: '1' } })).toBe(false);

  const ended = new Promise((resolve) => process.once('exit', resolve));
  process.kill('SIGKILL');
  await ended;
  expect(isPauseNoted(await readRecord(pgdata))).toBe(false);
  sayLeftPause(deps(0), await readRecord(pgdata));
  expect(lines).toEqual([]);

  await writeRecoverySettings(
    server,
    'standby',
    recoverySettings(capabilities, { kind: 'standby', streaming: undefined }, place),
  );
  expect((await readRecord(pgdata)).pausedServer).toBeUndefined();
});

test('-P leaves a pause alone while another action is running, and forgets one whose server has ended', async () => {
  writeFileSync(join(pgdata, 'PG_VERSION'), '15\n');
  await changeRecord(pgdata, { pausedServer: { pid: 2 ** 22 + 1, start: '1' } });
  await endLeftPause(deps(1));
  expect((await readRecord(pgdata)).pausedServer).toBeDefined();
  await endLeftPause(deps(0));
  expect(await readRecord(pgdata)).toEqual({});
  expect(lines).toEqual([]);
});
