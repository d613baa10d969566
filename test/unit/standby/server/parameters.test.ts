import { expect, test } from 'vitest';
import type { StandbyDeps } from '../../../../src/standby/deps.ts';
import { parametersOfFiles, parametersOfServer } from '../../../../src/standby/server/parameters.ts';
import { serverOf } from '../../../../src/standby/server/server.ts';
import type { CommandLine } from '../../../../src/system/command.ts';
import { dataDirectory } from '../standby-facts.ts';

const { capabilities } = dataDirectory('15');
const settings = { pgdata: '/d', includepath: [], pg_ctl: { program: '/no/pg_ctl', args: [] }, port: 5432 };

test("settings are unknown if the server's program cannot read them from its files", async () => {
  const asked: string[] = [];
  const run = ({ program, args }: CommandLine) => {
    asked.push([program, ...args].join(' '));
    const isKnown = args.at(-1) === 'archive_mode';
    return Promise.resolve({ kind: 'exited', code: isKnown ? 0 : 1, stdout: 'on\n', stderr: '' });
  };
  const server = serverOf({ settings, run } as unknown as StandbyDeps, capabilities);
  const start = new Map([['config_file', '/c']]);
  const found = await parametersOfFiles(server, ['archive_mode', 'archive_library'], start);
  expect([...found]).toEqual([['archive_mode', 'on']]);
  expect(asked).toEqual([
    'postgres -D /d -c config_file=/c -C archive_mode',
    'postgres -D /d -c config_file=/c -C archive_library',
  ]);
});

test('a running server is asked for all settings at once', async () => {
  const asked: string[] = [];
  const withLocalSql = async (_: unknown, __: number, use: (sql: unknown) => Promise<unknown>) => ({
    kind: 'answered',
    value: await use((sql: string) => {
      asked.push(sql);
      return Promise.resolve([{ name: 'archive_mode', setting: 'off' }]);
    }),
  });
  const server = serverOf({ settings, withLocalSql } as unknown as StandbyDeps, capabilities);
  expect(await parametersOfServer(server, ['archive_mode', 'archive_library'])).toEqual({
    kind: 'answered',
    value: new Map([['archive_mode', 'off']]),
  });
  expect(asked).toEqual([
    "SELECT name, setting FROM pg_settings WHERE name IN ('archive_mode', 'archive_library')",
  ]);
});
