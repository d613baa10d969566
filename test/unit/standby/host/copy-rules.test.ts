import { describe, expect, test } from 'vitest';
import { parseRsyncVersion } from '../../../../src/standby/actions/base-backup/copy/rsync-ability.ts';
import { dataRules, tablespaceRules, withoutUnlogged } from '../../../../src/standby/host/copy-rules.ts';
import { remoteRsync } from '../../../../src/system/rsync.ts';

const target = { oid: '16400', name: 't', location: '/t', target: '/t', isInsidePgdata: false };
const rules = dataRules([target], '/primary/main', ['conf.d', 'é.conf']);

describe('the file of a data directory', () => {
  test.each([
    'PG_VERSION',
    'postgresql.auto.conf',
    'base/1/1259',
    'base/1/1259_fsm',
    'base/1/pg_filenode.map',
    'base/1/backup_label',
    'extra/postgresql.conf',
    'extra/t1_2',
    'global/1262',
    'pg_tblspc/16500/PG_15_1/1/2',
    'pg_replslot',
    'pg_xact/0000',
    'server.key',
  ])('%s is copied', (path) => {
    expect(rules.isCopied(path)).toBe(true);
    expect(rules.isKept(path, false)).toBe(false);
  });

  test.each([
    'postmaster.pid',
    'backup_label',
    'backup_label.old',
    'tablespace_map',
    'standby.signal',
    'recovery.signal',
    'recovery.conf',
    'promote',
    'pg_replslot/s',
    'pg_replslot/s/state',
    'pg_stat_tmp/global.stat',
    'pg_notify/0000',
    'base/pgsql_tmp',
    'base/pgsql_tmp/pgsql_tmp1.0',
    'base/1/pg_internal.init',
    'base/1/pg_internal.init.4711',
    'base/1/t3_16384',
    'base/1/t3_16384_fsm',
    'base/1/t12_16384.1',
    'base/1/1259.pgbackrest.tmp',
    'core.4711',
  ])('%s is not copied, and removed here', (path) => {
    expect(rules.isCopied(path)).toBe(false);
    expect(rules.isKept(path, false)).toBe(false);
  });

  test.each([
    'postgresql.conf',
    'pg_hba.conf',
    'pg_ident.conf',
    'postgresql.conf.before-pitrtools-20260101',
    'pitrtools.json',
    'pg_wal',
    'pg_xlog',
    'log',
    'conf.d',
    // As find names it, a character for each byte.
    'Ã©.conf',
    'global/pg_control',
    'global/pg_control.pitrtools',
  ])('%s is not copied, and the standby keeps its own', (path) => {
    expect(rules.isCopied(path)).toBe(false);
    expect(rules.isKept(path, false)).toBe(true);
  });

  test("that is a link to a tablespace is the standby's own, but a directory in its place is not", () => {
    expect(rules.isKept('pg_tblspc/16400', true)).toBe(true);
    expect(rules.isKept('pg_tblspc/16400', false)).toBe(false);
    expect(rules.isKept('linked', true)).toBe(false);
  });

  test('that lies in a tablespace with another path here is not copied with the data directory', () => {
    const inside = { ...target, location: '/primary/main/spaces/t' };
    const { isCopied, unread } = dataRules([inside], '/primary/main', []);
    expect(isCopied('spaces/t')).toBe(false);
    expect(unread).toContain('spaces/t');
    expect(dataRules([{ ...inside, isInsidePgdata: true }], '/primary/main', []).isCopied('spaces/t')).toBe(
      true,
    );
  });
});

test("in a tablespace of 8.4 only the server's files are copied or removed, and later versions have their own folder", () => {
  const old = tablespaceRules(undefined);
  expect(['PG_VERSION', '16384', '16384/1', 'README'].map(old.isCopied)).toEqual([true, true, true, false]);
  expect(['16385/1', 'photos'].map((path) => old.isKept(path, false))).toEqual([false, true]);
  const later = tablespaceRules('PG_15_202209061');
  expect(['16384/1', '16384/t1_2', 'pgsql_tmp/x'].map(later.isCopied)).toEqual([true, false, false]);
  expect(later.isKept('README', false)).toBe(false);
});

test('of an unlogged relation only the initialization fork is copied', () => {
  const paths = [
    'base/5/100',
    'base/5/100.1',
    'base/5/100_fsm',
    'base/5/100_init',
    'base/5/100_vm',
    'base/5/1000',
    'base/6/100',
    'PG_VERSION',
  ].map((path) => ({ path }));
  expect(withoutUnlogged(paths).map(({ path }) => path)).toEqual([
    'base/5/100_init',
    'base/5/1000',
    'base/6/100',
    'PG_VERSION',
  ]);
});

test.each([
  [[], 'rsync'],
  [['-z', '--rsync-path=/opt/bin/rsync'], '/opt/bin/rsync'],
  [['--rsync-path', 'sudo rsync', '-z'], 'sudo rsync'],
])('with flags %j the right rsync is started on the primary', (flags, expected) => {
  expect(remoteRsync(flags)).toBe(expected);
});

test.each([
  ['rsync  version 3.2.7  protocol version 31', { major: 3, num: 30_207, hasZstd: false, hasLz4: false }],
  [
    'rsync  version v3.4.1  protocol version 32\nCompress list:\n    zstd lz4 zlibx',
    { major: 3, num: 30_401, hasZstd: true, hasLz4: true },
  ],
  ['rsync  version 2.6.9  protocol version 29', { major: 2, num: 20_609, hasZstd: false, hasLz4: false }],
  ['openrsync: protocol version 29', undefined],
])('the version of rsync is read from "%s"', (text, expected) => {
  expect(parseRsyncVersion(text)).toEqual(expected);
});

test('find(1) gets the name of a tablespace that goes elsewhere as it is, also beyond ASCII', () => {
  const inside = { ...target, location: '/primary/main/räume', isInsidePgdata: false };
  const { isCopied, unread } = dataRules([inside], '/primary/main', []);
  expect(unread).toContain('räume');
  expect(isCopied(Buffer.from('räume').toString('latin1'))).toBe(false);
});
