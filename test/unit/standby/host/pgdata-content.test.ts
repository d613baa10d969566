import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { inspectPgdata } from '../../../../src/standby/host/pgdata-content.ts';
import { completeBackup } from '../actions/base-backup/facts-kit.ts';

let pgdata = '';
beforeEach(() => {
  pgdata = mkdtempSync(join(tmpdir(), 'pgdata-'));
});
afterEach(() => {
  chmodSync(pgdata, 0o700);
  rmSync(pgdata, { recursive: true, force: true });
});

/** The first 16 bytes of a pg_control: identifier, format, catalog. */
function control(identifier: bigint): Buffer {
  const bytes = Buffer.alloc(8192);
  bytes.writeBigUInt64LE(identifier, 0);
  bytes.writeUInt32LE(1300, 8);
  bytes.writeUInt32LE(202209061, 12);
  return bytes;
}

function makeCluster(name = 'pg_control'): void {
  for (const path of ['global', 'base/1', 'base/5', 'pg_tblspc'])
    mkdirSync(join(pgdata, path), { recursive: true });
  writeFileSync(join(pgdata, 'global', name), control(42n));
  writeFileSync(join(pgdata, 'base/5/1259_fsm'), '');
}

test('a directory that does not exist is recognized', async () => {
  expect(await inspectPgdata(join(pgdata, 'x'))).toEqual({ kind: 'missing' });
});

test('an empty directory can contain configuration and lost+found', async () => {
  mkdirSync(join(pgdata, 'lost+found'));
  writeFileSync(join(pgdata, 'postgresql.conf'), '');
  expect(await inspectPgdata(pgdata)).toEqual({ kind: 'empty' });
});

test.each(['.pitrtools-probe-ab12', '..pitrtools-probe-ab12.77.tmp', '.pitrtools.json.77.tmp'])(
  'what a run of ours leaves that is killed does not make it a foreign one: %s',
  async (name) => {
    writeFileSync(join(pgdata, name), '0\n');
    expect(await inspectPgdata(pgdata)).toEqual({ kind: 'empty' });
    writeFileSync(join(pgdata, 'thesis.txt'), '');
    expect(await inspectPgdata(pgdata)).toMatchObject({ kind: 'unknown' });
  },
);

test('a directory with any other file is not replaced', async () => {
  writeFileSync(join(pgdata, 'thesis.txt'), '');
  expect(await inspectPgdata(pgdata)).toMatchObject({ kind: 'unknown' });
});

test('a cluster as initdb made it is fresh, and one with a database, a table or a tablespace is not', async () => {
  makeCluster();
  expect(await inspectPgdata(pgdata)).toEqual({
    kind: 'cluster',
    systemIdentifier: '42',
    isFresh: true,
    isCrashed: false,
  });
  mkdirSync(join(pgdata, 'base/16384'));
  expect(await inspectPgdata(pgdata)).toMatchObject({ isFresh: false });
  rmSync(join(pgdata, 'base/16384'), { recursive: true });
  writeFileSync(join(pgdata, 'base/5/16385.1'), '');
  expect(await inspectPgdata(pgdata)).toMatchObject({ isFresh: false });
  rmSync(join(pgdata, 'base/5/16385.1'));
  writeFileSync(join(pgdata, 'pg_tblspc/16390'), '');
  expect(await inspectPgdata(pgdata)).toMatchObject({ isFresh: false });
});

test('an unfinished copy is recognized by its moved pg_control, or by the record alone', async () => {
  makeCluster('pg_control.pitrtools');
  expect(await inspectPgdata(pgdata)).toMatchObject({ kind: 'cluster', systemIdentifier: '42' });
  rmSync(join(pgdata, 'global'), { recursive: true });
  const backup = { ...completeBackup, status: 'copying', systemIdentifier: '43' };
  writeFileSync(join(pgdata, 'pitrtools.json'), JSON.stringify({ backup }));
  expect(await inspectPgdata(pgdata)).toMatchObject({ kind: 'cluster', systemIdentifier: '43' });
});

test('a directory that cannot be read is not treated as empty', async () => {
  const file = join(pgdata, 'file');
  writeFileSync(file, '');
  expect(await inspectPgdata(file)).toMatchObject({ kind: 'unknown' });
});
