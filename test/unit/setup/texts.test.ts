import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseArchiverConfig } from '../../../src/config/load-archiver.ts';
import { parseStandbyConfig } from '../../../src/config/load-standby.ts';
import { makeRoleSql, roleOf, roleStateSql } from '../../../src/postgres/standby-role.ts';
import { nameStatement } from '../../../src/postgres/statements.ts';
import { withHbaLines } from '../../../src/setup/hba-block.ts';
import { archiverIniText, standbyIniText } from '../../../src/setup/ini-texts.ts';
import { confFileOf, configurationOf, readIniFacts } from '../../../src/setup/observe.ts';
import { judgeIni, judgeText, markedText } from '../../../src/setup/own-file.ts';
import { defaultArchive, placesOf, queueDirectoryFor, sshWords } from '../../../src/setup/places.ts';
import { findOwnName } from '../../../src/setup/primary-there.ts';
import { isAuthorized, parsePublicKey } from '../../../src/setup/public-key.ts';
import { foreignArchiving } from '../../../src/setup/server-wants.ts';
import { isVerifierOf, passwordVerifier } from '../../../src/system/password-verifier.ts';

const places = placesOf('primary', '/etc/pitrtools/cmd_archiver.ini');

describe('the INI files of --setup', () => {
  test('are read by the programs without a warning, and give the same facts again', () => {
    const archiver = archiverIniText({
      pgdata: '/srv/100%/main',
      standbys: [
        { name: 'beta', ssh: sshWords(places, { port: undefined }, 'archive'), archive: '/srv/archive' },
        { name: '192.0.2.7', ssh: sshWords(places, { port: 2222 }, 'archive'), archive: '/srv/other' },
      ],
      archive: '/srv/archive',
      queues: '/srv/queues',
      standbyIni: undefined,
      user: 'pg',
      psql: undefined,
    });
    const standby = standbyIniText({
      primary: 'alpha',
      publicName: undefined,
      port: 5433,
      localAddress: '/run/postgresql',
      pgdata: '/srv/100%/main',
      archive: '/srv/archive',
      archiverIni: '/srv/a.ini',
      ssh: sshWords(places, { port: 2222 }, 'data'),
      user: 'postgres',
      streaming: { role: 'pitrtools_beta', password: 'p%q' },
      programs: undefined,
    });
    const [one, other] = [parseArchiverConfig(archiver), parseStandbyConfig(standby)];
    expect(one).toMatchObject({
      kind: 'ok',
      warnings: [],
      settings: {
        pgdata: '/srv/100%/main',
        user: 'pg',
        standbys: [{ r_archivedir: '/srv/archive' }, { r_archivedir: '/srv/other' }],
      },
    });
    expect(other).toMatchObject({
      kind: 'ok',
      warnings: [],
      settings: {
        port: 5433,
        archiver_ini: '/srv/a.ini',
        repl_db_password: 'p%q',
        use_streaming_replication: true,
      },
    });
    expect(readIniFacts('primary', archiver, standby)).toEqual({
      pgdata: '/srv/100%/main',
      archive: '/srv/archive',
      queueDirectory: '/srv/queues',
      named: [
        { host: 'beta', port: undefined },
        { host: '192.0.2.7', port: 2222, archive: '/srv/other' },
      ],
      password: 'p%q',
    });
    expect(readIniFacts('standby', archiver, standby).named).toEqual([{ host: 'alpha', port: 2222 }]);
  });

  test('are replaced only as long as nobody has changed them', () => {
    const text = markedText('[DEFAULT]\na: 1\n');
    expect(judgeIni(undefined, text).kind).toBe('to-write');
    expect(judgeIni(text, markedText('[DEFAULT]\na: 2\n')).kind).toBe('to-write');
    expect(judgeIni('[DEFAULT]\na: 1\nb: 2\n', text).kind).toBe('right');
    expect(judgeIni('[DEFAULT]\na = 3\nmy_password: x\n', text)).toEqual({
      kind: 'differs',
      differences: ['[DEFAULT] a: 3 → 1'],
    });
    expect(judgeIni('[DEFAULT]\nx_password: 3\n', '[DEFAULT]\nx_password: 4\n')).toEqual({
      kind: 'differs',
      differences: ['[DEFAULT] x_password: (a password) → (a password)'],
    });
    expect(judgeText("a = 'b'\nc = 'd'\n", markedText("a = 'b'\n")).kind).toBe('right');
    expect(judgeText("a = 'x'\n", markedText("a = 'b'\n"))).toEqual({
      kind: 'differs',
      differences: ["a = 'b'"],
    });
  });
});

test('pg_hba.conf gets our lines at its top, once, and keeps all others', () => {
  const text = withHbaLines('local all all peer\n', ['host a', 'host b']);
  expect(text).toMatch(/^# .*\nhost a\nhost b\n# .*\nlocal all all peer\n$/);
  expect(withHbaLines(text, ['host  a', 'host b'])).toBe(text);
  expect(withHbaLines(text, ['host c'])).toMatch(/\nhost b\nhost c\n# /);
  expect(withHbaLines('host a\n', ['host a'])).toBe('host a\n');
});

test('our file is in the directory that postgresql.conf includes, if it includes one', () => {
  const file = '/etc/postgresql/15/main/postgresql.conf';
  expect(confFileOf(file, "port = 1\ninclude_dir = 'conf.d'\n")).toBe(
    '/etc/postgresql/15/main/conf.d/pitrtools.conf',
  );
  expect(confFileOf(file, "include_dir '/srv/conf'\n")).toBe('/srv/conf/pitrtools.conf');
  expect(confFileOf(file, "#include_dir = 'conf.d'\ninclude 'more.conf'\n")).toBeUndefined();
});

describe('the configuration of a server that cannot be asked', () => {
  const directory = mkdtempSync(join(tmpdir(), 'pitrtools-conf-'));
  const file = join(directory, 'postgresql.conf');
  const own = join(directory, 'conf.d', 'pitrtools.conf');
  beforeAll(() => {
    mkdirSync(dirname(own));
    writeFileSync(
      join(directory, 'conf.d', 'pgbackrest.conf'),
      "archive_command = 'pgbackrest %p'\nfsync = off\n",
    );
    writeFileSync(join(directory, 'conf.d', 'tuning.conf'), 'max_wal_senders = 1\n');
  });
  afterAll(() => {
    rmSync(directory, { recursive: true });
  });
  const read = (text: string, auto: readonly (readonly [string, string])[] = []) =>
    configurationOf(file, text, new Map(auto));

  test('has the archive_command of another program in the same directory', async () => {
    const { configured, confFile } = await read("include_dir = 'conf.d'\n");
    expect(confFile).toBe(own);
    expect(foreignArchiving(configured, 'ours')).toBe("archive_command = 'pgbackrest %p'");
  });

  test('has settings that count instead of ours: in later files there, in later lines, by ALTER SYSTEM', async () => {
    writeFileSync(own, 'max_wal_senders = 10\nwal_level = replica\n');
    const text = "fsync = on\ninclude_dir = 'conf.d'\nWAL_level = minimal # last\n#ssl = off\n";
    const { overriding } = await read(text, [['archive_mode', 'off']]);
    expect([...overriding].map(([name, { value, file: at }]) => [name, value, basename(at)])).toEqual([
      ['max_wal_senders', '1', 'tuning.conf'],
      ['wal_level', 'minimal', 'postgresql.conf'],
      ['archive_mode', 'off', 'postgresql.auto.conf'],
    ]);
    expect((await read('fsync = on\n', [['archive_mode', 'off']])).overriding.size).toBe(0);
  });
});

test('a standby finds itself in the list of its primary by its name, and never takes that of another host', async () => {
  const standby = (name: string, host = name) =>
    parseArchiverConfig(
      `[DEFAULT]\npgdata: /p\nr_archivedir: /a\nl_archivedir: /q\nslaves: ${name}\n[${name}]\nhost: ${host}\n`,
    );
  const targets = [standby('beta'), standby('gamma', 'gamma.example')].flatMap((config) =>
    config.kind === 'ok' ? config.settings.standbys : [],
  );
  const nowhere = () => Promise.resolve([]);
  expect(targets).toHaveLength(2);
  expect(await findOwnName(targets.slice(0, 1), 'other', nowhere)).toBe('beta');
  const elsewhere = () => Promise.resolve(['192.0.2.7']);
  expect(await findOwnName(targets.slice(0, 1), 'other', elsewhere)).toBeUndefined();
  expect(await findOwnName(targets, 'gamma.example', nowhere)).toBe('gamma');
  expect(await findOwnName(targets, 'other', nowhere)).toBeUndefined();
});

test('the archive lies beside all data directories of a package, and several clusters have several', () => {
  expect(defaultArchive('/var/lib/postgresql/15/main', true)).toBe('/var/lib/postgresql/archive');
  expect(defaultArchive('/var/lib/pgsql/9.6/data', true)).toBe('/var/lib/pgsql/archive');
  expect(defaultArchive('/srv/db', true)).toBe('/srv/archive');
  expect(defaultArchive('/var/lib/postgresql/15/main', false)).toBe('/var/lib/postgresql/archive-15-main');
  expect(queueDirectoryFor('/var/lib/postgresql/archive')).toBe('/var/lib/postgresql/queues');
  expect(queueDirectoryFor('/var/lib/postgresql/archive-15-main')).toBe('/var/lib/postgresql/queues-15-main');
  expect(queueDirectoryFor('/srv/wal')).toBe('/srv/wal-queues');
});

describe('a public key', () => {
  const blob = (type: string) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(type.length);
    return Buffer.concat([length, Buffer.from(type), Buffer.alloc(36, 1)]).toString('base64');
  };
  const good = `ssh-ed25519 ${blob('ssh-ed25519')}`;

  test('is read with a comment that needs no quotes', () => {
    expect(parsePublicKey(`${good} it's $(me)`)?.comment).toBe('it_s___me_');
    expect(parsePublicKey(` ${good}\n`)).toMatchObject({ type: 'ssh-ed25519', comment: '' });
  });

  test.each([
    'ssh-ed25519',
    `ssh-rsa ${blob('ssh-ed25519')}`,
    `command="x" ${good}`,
    `${good}\n${good}`,
    `${good} a\u001B[2J`,
    `no-such ${blob('no-such')}`,
  ])('is refused: %j', (text) => {
    expect(parsePublicKey(text)).toBeUndefined();
  });

  test('is found in authorized_keys with whatever options', () => {
    const key = parsePublicKey(good);
    if (key === undefined) throw new Error('not read');
    expect(isAuthorized(`restrict,command="x" ${good} me\n`, key)).toBe(true);
    expect(isAuthorized(`# ${good}\n${good.slice(0, -8)}\n`, key)).toBe(false);
  });
});

test('a role is made once, and never with its password in clear', () => {
  expect(roleOf('Beta.Example-1')).toBe('pitrtools_beta_example_1');
  const verifier = passwordVerifier('scram-sha-256', 'pitrtools_beta', 'secret');
  const sql = makeRoleSql('pitrtools_beta', verifier);
  expect(sql).toContain(verifier);
  expect(sql).not.toContain('secret');
  // A restricted key can ask for it, and for no other role.
  expect(nameStatement(sql)).toEqual({ name: 'make-role', words: ['pitrtools_beta', verifier] });
  expect(nameStatement(roleStateSql('pitrtools_beta'))?.name).toBe('role-state');
  expect(nameStatement(makeRoleSql('postgres', verifier))).toBeUndefined();
  expect(nameStatement(makeRoleSql('pitrtools_beta', 'in clear'))).toBeUndefined();
  expect(nameStatement(makeRoleSql('pitrtools_beta', passwordVerifier('md5', 'x', 'y')))?.words).toHaveLength(
    2,
  );
});

test('a verifier is that of one password alone, and as PostgreSQL computes it', () => {
  // RFC 7677, section 3: the example of SCRAM-SHA-256, as pg_authid would have it.
  const example =
    'SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=';
  expect(isVerifierOf(example, 'user', 'pencil')).toBe(true);
  expect(isVerifierOf(example, 'user', 'pencils')).toBe(false);
  const md5 = passwordVerifier('md5', 'joe', 'secret');
  expect(md5).toMatch(/^md5[0-9a-f]{32}$/);
  expect(isVerifierOf(md5, 'joe', 'secret')).toBe(true);
  expect(isVerifierOf(md5, 'jim', 'secret')).toBe(false);
  expect(isVerifierOf('', 'joe', 'secret')).toBe(false);
});
