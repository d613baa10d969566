import { chmodSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  makeForServer,
  openToGroup,
  serverModes,
  writeForServer,
} from '../../../../src/standby/server/server-modes.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

function modeOf(path: string): string {
  return (statSync(path).mode & 0o777).toString(8);
}

function dataDirectory(mode: number, version?: string): string {
  const pgdata = join(temporaryDirectory(), 'main');
  mkdirSync(pgdata);
  chmodSync(pgdata, mode);
  if (version !== undefined) writeFileSync(join(pgdata, 'PG_VERSION'), `${version}\n`);
  return pgdata;
}

test.each([
  ['a private one', 0o700, '18', '600 700'],
  ['one that its group reads', 0o750, '18', '640 750'],
  ['one that 11 made so', 0o750, '11', '640 750'],
  ['one whose server knows no group access', 0o750, '10', '600 700'],
  ['one that is still empty', 0o750, undefined, '640 750'],
  ['one that the group may enter, but not list', 0o710, '18', '600 700'],
])('the modes of %s (modes %o, %s) are %s', async (_name, mode, version, expected) => {
  const pgdata = dataDirectory(mode, version);
  const [file, made] = [join(pgdata, 'file'), join(pgdata, 'made')];
  await writeForServer(pgdata, file, 'content');
  await makeForServer(pgdata, made);
  expect(`${modeOf(file)} ${modeOf(made)}`).toBe(expected);
  // Replaced, it has them still.
  chmodSync(file, 0o644);
  await writeForServer(pgdata, file, 'other');
  expect(modeOf(file)).toBe(expected.slice(0, 3));
});

test('an existing directory keeps its mode, unless it becomes a tablespace that the group can read', async () => {
  const pgdata = dataDirectory(0o750, '18');
  const there = join(pgdata, 'there');
  mkdirSync(there, { mode: 0o700 });
  await makeForServer(pgdata, there);
  expect(modeOf(there)).toBe('700');
  await openToGroup(pgdata, there);
  expect(modeOf(there)).toBe('750');
  chmodSync(pgdata, 0o700);
  await openToGroup(pgdata, there);
  expect(modeOf(there)).toBe('750');
});

test('a data directory that does not exist has no group access', async () => {
  expect(await serverModes('/not/there')).toEqual({ file: 0o600, directory: 0o700 });
});
