import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  exclusiveBackupLabelSql,
  findHelpers,
  installHint,
  parseDataDirectory,
  parseStoppedBackup,
  parseTablespaces,
  parseWalPosition,
  startBackupSql,
  startExclusiveBackupSql,
  stopBackupSql,
  stopExclusiveBackupSql,
  switchWalSql,
  tablespacesSql,
  walPositionSql,
} from '../../../src/postgres/backup-sql.ts';
import { capabilitiesOf } from '../../../src/postgres/capabilities.ts';
import { parseServerSettings, serverSettingsSql } from '../../../src/postgres/server-settings.ts';
import { parseVersion } from '../../../src/postgres/version.ts';

const of = (major: string) => capabilitiesOf(parseVersion(major));

describe('the SQL that begins and ends a backup', () => {
  test('is called in the same way on every release, and names a session that a backup ends with', () => {
    const call = `SELECT "public".cmd_pg_start_backup('cmd_standby it''s 1', true)`;
    const named = ` WHERE set_config('application_name', 'pitrtools base backup', false) <> ''`;
    for (const major of ['8.4', '9.0', '9.5', '9.6', '14', '15', '18'])
      expect(startBackupSql(of(major), 'public', "cmd_standby it's 1", true)).toBe(
        ['8.4', '9.0', '9.5'].includes(major) ? call : call + named,
      );
    expect(stopBackupSql('public', 'l 1')).toBe(
      `SELECT lsn, labelfile, spcmapfile FROM "public".cmd_pg_stop_backup('l 1')`,
    );
  });

  test.each(['', 'two\nlines', 'schön', 'x'.repeat(201)])('is not used with a label such as %j', (label) => {
    expect(() => startBackupSql(of('9.5'), 'public', label, true)).toThrow(
      'not usable as the label of a backup',
    );
    expect(() => stopBackupSql('public', label)).toThrow('not usable as the label of a backup');
  });

  test('returns the label file from 9.6 on, and leaves it on the server before', () => {
    expect(parseStoppedBackup([['0/3000100', 'START WAL …\n', '16384 /srv/a\n']])).toEqual({
      stopLsn: 0x3000100n,
      labelFile: 'START WAL …\n',
      tablespaceMap: '16384 /srv/a\n',
    });
    expect(parseStoppedBackup([['0/3000100', null, '']])).toEqual({
      stopLsn: 0x3000100n,
      labelFile: undefined,
      tablespaceMap: undefined,
    });
  });

  test('has ended nothing if it returns no row', () => {
    expect(parseStoppedBackup([])).toBeUndefined();
  });
});

describe('an exclusive backup', () => {
  test('ends only by its own label', () => {
    expect(stopExclusiveBackupSql(of('8.4'), 'a')).toMatchInlineSnapshot(
      `"SELECT * FROM (SELECT pg_stop_backup() WHERE CASE WHEN 'backup_label' IN (SELECT pg_ls_dir('.')) THEN 'LABEL: a' = ANY (string_to_array(pg_read_file('backup_label', 0, 100000), E'\\n')) ELSE false END) AS ours"`,
    );
    expect(stopExclusiveBackupSql(of('14'), 'a')).toMatchInlineSnapshot(
      `"SELECT * FROM (SELECT pg_stop_backup() WHERE CASE WHEN 'backup_label' IN (SELECT pg_ls_dir('.')) THEN 'LABEL: a' = ANY (string_to_array(pg_read_file('backup_label'), E'\\n')) ELSE false END) AS ours"`,
    );
    expect(startExclusiveBackupSql(of('14'), 'a', true)).toBe("SELECT pg_start_backup('a', true)");
    expect(startExclusiveBackupSql(of('8.4'), 'a', false)).toBe("SELECT pg_start_backup('a', false)");
    expect(exclusiveBackupLabelSql(of('9.0'))).toMatchInlineSnapshot(
      `"SELECT pg_read_file('backup_label', 0, 100000) WHERE 'backup_label' IN (SELECT pg_ls_dir('.'))"`,
    );
  });

  test('does not exist from 15 on', () => {
    const none = 'PostgreSQL 15 has no exclusive backup';
    expect(() => startExclusiveBackupSql(of('15'), 'a', true)).toThrow(none);
    expect(() => stopExclusiveBackupSql(of('15'), 'a')).toThrow(none);
    expect(() => exclusiveBackupLabelSql(of('18'))).toThrow('PostgreSQL 18 has no exclusive backup');
  });
});

test.each([
  ['8.4', 'SELECT pg_xlogfile_name(pg_switch_xlog())'],
  ['9.6', 'SELECT pg_xlogfile_name(pg_switch_xlog())'],
  ['10', 'SELECT pg_walfile_name(pg_switch_wal())'],
  ['16', 'SELECT pg_walfile_name(pg_switch_wal())'],
  ['17', 'SELECT pg_walfile_name(pg_switch_wal() - 1)'],
])('a segment on %s is ended by %s', (major, sql) => {
  expect(switchWalSql(of(major))).toBe(sql);
});

test('the position in the WAL is read', () => {
  expect(walPositionSql(of('9.6'))).toMatchInlineSnapshot(
    `"SELECT here::text, pg_xlogfile_name(here) FROM (SELECT pg_current_xlog_location() AS here OFFSET 0) AS p"`,
  );
  expect(walPositionSql(of('10'))).toMatchInlineSnapshot(
    `"SELECT here::text, pg_walfile_name(here) FROM (SELECT pg_current_wal_lsn() AS here OFFSET 0) AS p"`,
  );
  expect(parseWalPosition([['1/25000020', '0000000300000001000000A5']])).toEqual({
    lsn: 0x1_2500_0020n,
    timeline: 3,
  });
  expect(() => parseWalPosition([])).toThrow("not the name of a WAL segment: ''");
});

test('tablespaces are read', () => {
  expect(tablespacesSql(of('9.1'))).toMatchInlineSnapshot(
    `"SELECT oid, spcname, location FROM (SELECT oid, spcname, spclocation AS location FROM pg_tablespace) AS t WHERE location LIKE '/%' ORDER BY oid"`,
  );
  expect(tablespacesSql(of('9.2'))).toMatchInlineSnapshot(
    `"SELECT oid, spcname, location FROM (SELECT oid, spcname, pg_tablespace_location(oid) AS location FROM pg_tablespace) AS t WHERE location LIKE '/%' ORDER BY oid"`,
  );
  expect(parseTablespaces([['16384', 'fast', '/srv/a b']])).toEqual([
    { oid: '16384', name: 'fast', location: '/srv/a b' },
  ]);
});

test.each([
  [['../victim', 'fast', '/srv/fast']],
  [['16384', 'fast', '/srv/../etc']],
  [['16384', 'fast', 'srv/fast']],
  [['16384', 'fast', '/srv/a\0b']],
  [['16384', 'fast']],
])('a tablespace that no server can have is refused: %j', (row) => {
  expect(() => parseTablespaces([row])).toThrow('a tablespace that no server has');
});

test.each(['', 'data', '/srv/../etc', '/srv/a\0'])(
  'a data directory that no server can have is refused: %j',
  (path) => {
    expect(() => parseDataDirectory([[path]])).toThrow('a data directory that no server has');
    expect(parseDataDirectory([['/srv/pgdata']])).toBe('/srv/pgdata');
  },
);

describe('the helper functions', () => {
  const all = [
    'cmd_get_data_dirs()',
    'cmd_get_pgdata()',
    'cmd_get_tablespaces()',
    'cmd_pg_start_backup()',
    'cmd_pg_start_backup(text, boolean)',
    'cmd_pg_stop_backup()',
    'cmd_pg_stop_backup(text)',
  ];
  const rows = (schema: string, names: readonly string[], owner = 'postgres', isOurs = 't') =>
    names.map((name) => [schema, name, owner, isOurs]);

  test('are called in the schema that contains all of them, whichever that is', () => {
    const found = findHelpers([...rows('public', all.slice(2)), ...rows('Backup "1"', all)]);
    expect(found).toEqual({ kind: 'found', schema: 'Backup "1"' });
    expect(startBackupSql(of('9.5'), 'Backup "1"', 'l', false)).toBe(
      `SELECT "Backup ""1""".cmd_pg_start_backup('l', false)`,
    );
  });

  test('of an ordinary role are not called by a superuser', () => {
    expect(findHelpers(rows('public', all, 'mallory', 'f'))).toMatchObject({
      kind: 'missing',
      foreign: ['mallory'],
    });
  });
});

test('are named if they are missing, with the command that installs them', () => {
  const old = [
    'cmd_get_data_dirs()',
    'cmd_get_pgdata()',
    'cmd_get_tablespaces()',
    'cmd_pg_start_backup()',
    'cmd_pg_stop_backup()',
  ];
  expect(findHelpers(old.map((name) => ['public', name, 'postgres', 't']))).toEqual({
    kind: 'missing',
    missing: ['cmd_pg_start_backup(text, boolean)', 'cmd_pg_stop_backup(text)'],
    foreign: [],
  });
  const none = findHelpers([]);
  expect(none.kind === 'missing' && none.missing).toHaveLength(7);
  expect(installHint(of('9.2'), 'postgres', 'postgres')).toBe(
    'Install the helper functions on the primary: psql -U postgres -d postgres < scripts/cmd_standby.92.sql',
  );
});

describe('the settings that a server reports', () => {
  const rows: [string, string][] = [
    ['data_directory', '/srv/pg'],
    ['archive_mode', 'on'],
    ['archive_command', 'cmd_archiver -F %p'],
    ['TimeZone', 'Europe/Berlin'],
    ['data_checksums', 'on'],
    ['max_connections', '100'],
    ['wal_segment_size', '16777216'],
    ['in_recovery', 'false'],
  ];

  test('are read', () => {
    expect(parseServerSettings(rows)).toMatchObject({
      inRecovery: false,
      dataDirectory: '/srv/pg',
      hbaFile: undefined,
      walSegmentSize: 16777216,
      archiveMode: 'on',
      archiveLibrary: '',
      dataChecksums: true,
      timeZone: 'Europe/Berlin',
      standbyLimits: new Map([['max_connections', 100]]),
    });
  });

  test('cause an error if they are impossible or missing', () => {
    expect(() => parseServerSettings(rows.slice(0, -1))).toThrow('does not report its setting in_recovery');
    expect(() => parseServerSettings([...rows, ['wal_segment_size', '2048']])).toThrow(
      'impossible WAL segment size: 2048',
    );
    expect(() => parseServerSettings([...rows, ['max_connections', 'many']])).toThrow(
      "no number for max_connections: 'many'",
    );
  });

  test('are read from 8.4 without the function that it lacks', () => {
    expect(serverSettingsSql(of('8.4'))).toContain("'in_recovery', 'false'");
    expect(serverSettingsSql(of('9.0'))).toContain('pg_is_in_recovery()::text');
  });
});

describe('the helper functions of releases that cannot be installed here', () => {
  const file = (name: string) => readFileSync(join(import.meta.dirname, '../../../scripts', name), 'utf8');
  const releases = ['', '.92', '.96', '.10', '.15'];
  const files = releases.map((release) => `cmd_standby${release}.sql`);

  test.each(files)('print the lines of the how-to in %s', (name) => {
    const [shown = ''] = file(name).split('\\set QUIET on');
    const commands = shown
      .split('\n')
      .filter((line) => /^[A-Z]/.test(line) && !line.startsWith('LANGUAGE') && !/^(BEGIN|END)$/.test(line));
    expect(commands.map((line) => /^(CREATE OR REPLACE FUNCTION|COMMENT) /.exec(line)?.[1])).toEqual([
      'CREATE OR REPLACE FUNCTION',
      'COMMENT',
      'CREATE OR REPLACE FUNCTION',
      'CREATE OR REPLACE FUNCTION',
      'CREATE OR REPLACE FUNCTION',
      'COMMENT',
      'CREATE OR REPLACE FUNCTION',
      'COMMENT',
    ]);
  });

  test('return the same types in all files, because PostgreSQL cannot change them', () => {
    const signatures = files.map((name) =>
      [...file(name).matchAll(/^CREATE OR REPLACE FUNCTION ([^$]*?)\s*LANGUAGE/gm)].map((match) => match[1]),
    );
    expect(signatures[0]).toMatchInlineSnapshot(`
      [
        "cmd_get_data_dirs() RETURNS SETOF text",
        "cmd_get_pgdata() RETURNS text",
        "cmd_get_tablespaces() RETURNS SETOF text",
        "cmd_pg_start_backup() RETURNS integer",
        "cmd_pg_stop_backup() RETURNS integer",
        "cmd_pg_start_backup(label text, fast boolean) RETURNS text",
        "cmd_pg_stop_backup(label text, OUT lsn text, OUT labelfile text, OUT spcmapfile text)
      RETURNS SETOF record",
      ]
    `);
    for (const other of signatures) expect(other).toEqual(signatures[0]);
  });

  test('of 8.4 to 9.1 use no function of a later release', () => {
    const text = file('cmd_standby.sql');
    expect(text).toContain('spclocation');
    expect(text).not.toMatch(/pg_tablespace_location|plpgsql|DO \$|format\(|pg_read_file\('backup_label'\)/);
    // Names of arguments can be used in the SQL language from 9.2 only.
    expect(text).toMatch(/pg_start_backup\(\$1, \$2\)/);
  });

  test('of 9.2 to 9.5 use no function that was removed or came later', () => {
    expect(file('cmd_standby.92.sql')).not.toMatch(
      /spclocation|pg_stop_backup\(false|pg_start_backup\(\$1, \$2, false/,
    );
  });

  test('end a backup without waiting for the archiver from 10 on, and not before', () => {
    expect(file('cmd_standby.96.sql')).toContain('pg_stop_backup(false) AS b');
    expect(file('cmd_standby.10.sql')).toContain('pg_stop_backup(false, false) AS b');
    expect(file('cmd_standby.15.sql')).toContain('pg_backup_stop(false) AS b');
  });
});
