import { describe, expect, test } from 'vitest';
import { localServerAt } from '../../../../src/standby/server/local-address.ts';
import { commandLineParameters, serverOptions } from '../../../../src/standby/server/server-configuration.ts';

const none = new Map<string, string>();
const inPgdata = { pgdata: '/d', no_copy_conf: false };

describe('the command line of the server', () => {
  test('contains nothing if the files are in pgdata', () => {
    const sources = { conf: '/c/postgresql.conf', hba: '/c/pg_hba.conf' };
    expect(commandLineParameters(inPgdata, sources, '/d/postgresql.conf', none)).toEqual(none);
  });

  test('contains the files themselves with no_copy_conf', () => {
    const sources = { conf: '/c/postgresql.conf', hba: '/c/pg_hba.conf' };
    const settings = { pgdata: '/d', no_copy_conf: true };
    expect(commandLineParameters(settings, sources, '/c/postgresql.conf', none)).toEqual(
      new Map([
        ['config_file', '/c/postgresql.conf'],
        ['hba_file', '/c/pg_hba.conf'],
      ]),
    );
  });

  test("contains Debian's file outside pgdata", () => {
    const sources = { conf: undefined, hba: undefined };
    const file = '/etc/postgresql/15/main/postgresql.conf';
    expect(commandLineParameters(inPgdata, sources, file, none)).toEqual(new Map([['config_file', file]]));
  });

  test("contains this data directory and this pg_hba.conf if the primary's file names others", () => {
    const sources = { conf: '/c/postgresql.conf', hba: '/c/pg_hba.conf' };
    const inFile = new Map([
      ['data_directory', '/primary'],
      ['hba_file', '/etc/postgresql/15/main/pg_hba.conf'],
    ]);
    expect(commandLineParameters(inPgdata, sources, '/d/postgresql.conf', inFile)).toEqual(
      new Map([
        ['data_directory', '/d'],
        ['hba_file', '/d/pg_hba.conf'],
      ]),
    );
  });

  test('is quoted for the shell that pg_ctl starts', () => {
    expect(serverOptions(new Map([['config_file', "/it's $here/a.conf"]]))).toBe(
      `-c config_file='/it'\\''s $here/a.conf'`,
    );
  });
});

describe('the address of the server', () => {
  const settings = { pgdata: '/d', user: 'postgres', local_port: undefined, dbname: undefined };
  const running = { kind: 'running', pid: 1, port: 5433, listenAddress: undefined } as const;

  test('is read from postmaster.pid', () => {
    const postmaster = { ...running, socketDirectory: '/run/pg' };
    expect(localServerAt(settings, postmaster, none)).toMatchObject({ host: '/run/pg', port: 5433 });
    const relative = { ...running, socketDirectory: '.' };
    expect(localServerAt(settings, relative, none).host).toBe('/d');
    const tcp = { ...running, socketDirectory: undefined, listenAddress: '*' };
    expect(localServerAt(settings, tcp, none).host).toBe('127.0.0.1');
    const directories = new Map([['unix_socket_directories', '/run/other']]);
    expect(localServerAt(settings, tcp, directories).host).toBe('127.0.0.1');
  });

  test('is never an abstract socket if there is another way', () => {
    const abstract = { ...running, socketDirectory: '@pg' };
    const inFile = new Map([['unix_socket_directories', '@pg, "/run/pg"']]);
    expect(localServerAt(settings, abstract, inFile).host).toBe('/run/pg');
    const tcp = { ...abstract, listenAddress: 'localhost' };
    expect(localServerAt(settings, tcp, none).host).toBe('localhost');
    expect(localServerAt(settings, abstract, none).host).toBe('@pg');
  });

  test('is read from the configuration up to 9.0', () => {
    const old = { ...running, port: undefined, socketDirectory: undefined };
    const inFile = new Map([
      ['port', '5434'],
      ['unix_socket_directory', '/var/run/postgresql'],
    ]);
    expect(localServerAt(settings, old, inFile)).toMatchObject({ host: '/var/run/postgresql', port: 5434 });
    expect(localServerAt({ ...settings, local_port: 5435 }, old, inFile).port).toBe(5435);
    expect(localServerAt(settings, old, none)).toMatchObject({ host: '/tmp', port: 5432 });
  });
});
