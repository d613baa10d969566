import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { StandbySettings } from '../../../../src/config/options-standby.ts';
import type { StandbyDeps } from '../../../../src/standby/deps.ts';
import { recoveryPlace } from '../../../../src/standby/recovery/place.ts';
import { serverOf } from '../../../../src/standby/server/server.ts';
import { isHotStandby, readConfiguration } from '../../../../src/standby/server/server-configuration.ts';
import { dataDirectory } from '../standby-facts.ts';

let pgdata = '';
beforeEach(() => {
  pgdata = mkdtempSync(join(tmpdir(), 'pitrtools-unit-'));
  mkdirSync(join(pgdata, 'conf.d'));
});
afterEach(() => {
  rmSync(pgdata, { recursive: true, force: true });
});

function write(name: string, text: string): void {
  writeFileSync(join(pgdata, name), text);
}

function serverWith(settings: Partial<StandbySettings> = {}) {
  const deps = { settings: { pgdata, no_copy_conf: false, ...settings } } as unknown as StandbyDeps;
  return serverOf(deps, dataDirectory('18', { pgdata }).capabilities);
}

async function settingsHere(): Promise<Record<string, string>> {
  return Object.fromEntries((await readConfiguration(serverWith(), 'standby')).inFile);
}

describe('the settings in included files', () => {
  test('count in their place, file by file, and hidden or other files do not', async () => {
    write('postgresql.conf', "a = 1\ninclude_dir 'conf.d'\nd = 4\ninclude_if_exists 'none.conf'\n");
    write('conf.d/b.conf', "a = 3\nb = 3\nd = 3\ninclude 'deeper.txt'\n");
    write('conf.d/B.conf', 'a = 2\nb = 2\n');
    write('conf.d/.hidden.conf', 'a = 9\n');
    write('conf.d/z.conf~', 'a = 9\n');
    mkdirSync(join(pgdata, 'conf.d', 'z.conf'));
    write('conf.d/deeper.txt', 'c = 5\n');
    expect(await settingsHere()).toEqual({ a: '3', b: '3', c: '5', d: '4' });
  });

  test("count less than what a user has set by ALTER SYSTEM, and what -S has set there is not the user's", async () => {
    write('postgresql.conf', 'hot_standby = on\nport = 5432\n');
    write(
      'postgresql.auto.conf',
      "hot_standby = 'off'\nport = '5433'\narchive_cleanup_command = 'mine'\nrestore_command = 'ours'\n",
    );
    const settings = { mode: 'standby', names: ['restore_command'], file: 'postgresql.auto.conf' };
    write('pitrtools.json', JSON.stringify({ settings }));
    expect(await settingsHere()).toEqual({
      hot_standby: 'off',
      port: '5433',
      archive_cleanup_command: 'mine',
    });
    const server = serverWith();
    const configuration = await readConfiguration(server, 'standby');
    expect(isHotStandby(configuration, server.capabilities)).toBe(false);
  });

  test('of a file that includes itself are read, and the reading ends', async () => {
    write('postgresql.conf', "a = 1\ninclude 'postgresql.conf'\n");
    expect(await settingsHere()).toEqual({ a: '1' });
  });

  test('decide whether the standby is hot, on which directory it starts, and how it recovers', async () => {
    write('source.conf', "include_dir 'conf.d'\n");
    const site = "hot_standby = off\ndata_directory = '/primary'\nhba_file = '/primary/pg_hba.conf'\n";
    write(
      'conf.d/site.conf',
      `${site}recovery_target_time = '2001-01-01 00:00:00+00'\nrecovery_min_apply_delay = 1h\n`,
    );
    const server = serverWith({
      pg_conf: join(pgdata, 'source.conf'),
      pg_hba_conf: '/site/pg_hba.conf',
      archivedir: '/archive',
    });
    const configuration = await readConfiguration(server, 'standby');
    expect(isHotStandby(configuration, server.capabilities)).toBe(false);
    expect(configuration.parameters).toEqual(
      new Map([
        ['data_directory', pgdata],
        ['hba_file', join(pgdata, 'pg_hba.conf')],
      ]),
    );
    expect(await recoveryPlace(server, configuration)).toMatchObject({
      ownTargets: ['recovery_target_time'],
      ownDelay: true,
    });
  });
});
