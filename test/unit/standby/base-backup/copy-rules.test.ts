import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { tmpdir } from 'node:os';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseRsyncVersion } from '../../../../src/standby/base-backup/facts.ts';
import { dataRules, tablespaceRules } from '../../../../src/standby/base-backup/copy-rules.ts';
import { runCommand, succeeded } from '../../../../src/system/command.ts';

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'rules-'));
});
afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

function fill(side: string, files: readonly string[]): void {
  for (const file of files) {
    mkdirSync(dirname(join(root, side, file)), { recursive: true });
    writeFileSync(join(root, side, file), side);
  }
}

async function copy(rules: readonly string[]): Promise<void> {
  const args = ['-a', '--delete', ...rules, join(root, 'from/'), join(root, 'to/')];
  expect(succeeded(await runCommand({ program: 'rsync', args }, { limitMs: 10_000 }))).toBe(true);
}

function stateOf(file: string): string | undefined {
  try {
    return readFileSync(join(root, 'to', file), 'utf8');
  } catch {
    return undefined;
  }
}

const target = { oid: '16400', name: 't', location: '/t', target: '/t', isInsidePgdata: false };

describe('what rsync copies of a data directory', () => {
  const both = [
    'base/1/1259',
    'global/pg_control',
    'pg_wal/000000010000000000000001',
    'postgresql.conf',
    'pitrtools.json',
  ];

  test('is the data; the standby keeps its configuration, record, WAL and control file', async () => {
    fill('from', [...both, 'pg_hba.conf', 'PG_VERSION', 'postgresql.auto.conf']);
    fill('to', [...both, 'base/1/9999', 'log/server.log']);
    await copy(dataRules([target]));
    expect(both.map(stateOf)).toEqual(['from', 'to', 'to', 'to', 'to']);
    expect(['pg_hba.conf', 'log/server.log', 'base/1/9999'].map(stateOf)).toEqual([
      undefined,
      'to',
      undefined,
    ]);
    expect(['PG_VERSION', 'postgresql.auto.conf'].map(stateOf)).toEqual(['from', 'from']);
  });

  test.each([
    'postmaster.pid',
    'backup_label',
    'backup_label.old',
    'tablespace_map',
    'standby.signal',
    'recovery.signal',
    'recovery.conf',
    'pg_replslot/s/state',
    'pg_stat_tmp/global.stat',
    'pg_notify/0000',
    'base/pgsql_tmp/pgsql_tmp1.0',
    'base/1/pg_internal.init',
    'pg_tblspc/16400/file',
    'log/postgresql.log',
  ])('is not %s', async (file) => {
    fill('from', [file, 'PG_VERSION']);
    await copy(dataRules([target]));
    expect(stateOf(file)).toBeUndefined();
    expect(stateOf('PG_VERSION')).toBe('from');
  });

  test('is a file of such a name elsewhere', async () => {
    fill('from', ['base/1/backup_label', 'extra/postgresql.conf', 'pg_tblspc/16500/PG_15/1']);
    await copy(dataRules([target]));
    expect(['base/1/backup_label', 'extra/postgresql.conf', 'pg_tblspc/16500/PG_15/1'].map(stateOf)).toEqual([
      'from',
      'from',
      'from',
    ]);
  });
});

test('of a tablespace of 8.4 only what the server makes is copied or removed', async () => {
  fill('from', ['PG_VERSION', '16384/1', 'README']);
  fill('to', ['16385/1', 'photos/1.jpg']);
  await copy(tablespaceRules(undefined));
  expect(['PG_VERSION', '16384/1', 'README', '16385/1', 'photos/1.jpg'].map(stateOf)).toEqual([
    'from',
    'from',
    undefined,
    undefined,
    'to',
  ]);
});

test.each([
  ['rsync  version 3.2.7  protocol version 31', { major: 3, num: 30_207 }],
  ['rsync  version v3.4.1  protocol version 32', { major: 3, num: 30_401 }],
  ['rsync  version 2.6.9  protocol version 29', { major: 2, num: 20_609 }],
  ['openrsync: protocol version 29', undefined],
])('the version in "%s"', (text, expected) => {
  expect(parseRsyncVersion(text)).toEqual(expected);
});
