import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { serverLogFile } from '../../../../src/standby/server/server-log.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

let root = '';
let pgdata = '';
beforeEach(() => {
  root = temporaryDirectory();
  pgdata = join(root, 'lib', '15', 'main');
  for (const path of [pgdata, join(root, 'etc', '15', 'main'), join(root, 'logs')])
    mkdirSync(path, { recursive: true });
  writeFileSync(join(pgdata, 'PG_VERSION'), '15\n');
  writeFileSync(join(root, 'etc', '15', 'main', 'postgresql.conf'), `data_directory = '${pgdata}'\n`);
  vi.stubEnv('PG_CLUSTER_CONF_ROOT', join(root, 'etc'));
});
afterEach(() => {
  vi.unstubAllEnvs();
});

function logFile(logfile?: string, logs = join(root, 'logs')): Promise<string> {
  return serverLogFile({ pgdata, logfile }, logs);
}

test("the server's log is the one that the INI file names", async () => {
  expect(await logFile('/var/log/mine.log')).toBe('/var/log/mine.log');
});

test('the log of a Debian cluster is the one that pg_lsclusters shows, also by a link beside its configuration', async () => {
  expect(await logFile()).toBe(join(root, 'logs', 'postgresql-15-main.log'));
  symlinkSync(join(root, 'logs', 'other.log'), join(root, 'etc', '15', 'main', 'log'));
  expect(await logFile()).toBe(join(root, 'logs', 'other.log'));
});

test('the log is in pgdata if that log does not exist or cannot be written', async () => {
  const inPgdata = join(pgdata, 'pitrtools-server.log');
  expect(await logFile(undefined, join(root, 'not there'))).toBe(inPgdata);
  rmSync(join(root, 'etc'), { recursive: true });
  expect(await logFile()).toBe(inPgdata);
});
