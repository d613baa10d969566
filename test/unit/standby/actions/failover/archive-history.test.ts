import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { archiveHistory } from '../../../../../src/standby/actions/failover/last-segment.ts';
import type { StandbyDeps } from '../../../../../src/standby/deps.ts';
import { serverOf } from '../../../../../src/standby/server/server.ts';
import { dataDirectory } from '../../standby-facts.ts';

let pgdata: string;
beforeEach(() => {
  pgdata = mkdtempSync(join(tmpdir(), 'pitrtools-unit-'));
});
afterEach(() => {
  rmSync(pgdata, { recursive: true });
});

function server(major: string) {
  const deps = { settings: { pgdata }, log: { notice: () => undefined } } as unknown as StandbyDeps;
  return serverOf(deps, dataDirectory(major).capabilities);
}

function makeWal(folder: string, history: boolean): string {
  const status = join(pgdata, folder, 'archive_status');
  mkdirSync(status, { recursive: true });
  if (history) writeFileSync(join(pgdata, folder, '0000000A.history'), '');
  return status;
}

test.each([
  ['9.4', 'pg_xlog'],
  ['18', 'pg_wal'],
])('the history file of a new timeline of %s is marked for archiving in %s, once', async (major, folder) => {
  const status = makeWal(folder, true);
  await archiveHistory(server(major), 10);
  expect(readdirSync(status)).toEqual(['0000000A.history.ready']);
  rmSync(join(status, '0000000A.history.ready'));
  writeFileSync(join(status, '0000000A.history.done'), '');
  await archiveHistory(server(major), 10);
  expect(readdirSync(status)).toEqual(['0000000A.history.done']);
});

test('a history file that the server does not have is not marked for archiving', async () => {
  const status = makeWal('pg_wal', false);
  await archiveHistory(server('18'), 10);
  expect(readdirSync(status)).toEqual([]);
});
