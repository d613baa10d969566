import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findOwnConfiguration, includedNames } from '../../../../src/standby/host/own-configuration.ts';
import { completeBackup } from '../actions/base-backup/facts-kit.ts';

let pgdata = '';
beforeEach(() => {
  pgdata = mkdtempSync(join(tmpdir(), 'pitrtools-unit-'));
});
afterEach(() => {
  rmSync(pgdata, { recursive: true });
});

const settings = () => ({ pgdata, pg_conf: undefined, no_copy_conf: false });

test('the files that postgresql.conf includes are found by their names in pgdata', () => {
  const text = `include 'a.conf'
include_dir = 'site/all'
include_if_exists './b.conf'
include '/pg/main/c/d.conf'
include '../outside.conf'
include '/etc/elsewhere.conf'
include_dir '.'
#include 'comment.conf'
`;
  expect(includedNames(text, '/pg/main')).toEqual(['a.conf', 'site', 'b.conf', 'c']);
});

test("the standby's own configuration is what exists of these and of conf.d, except the server's own files", async () => {
  const names = ['conf.d', 'site', 'base', 'pg_xact', 'space', 'other'];
  for (const name of names) mkdirSync(join(pgdata, name));
  writeFileSync(
    join(pgdata, 'postgresql.conf'),
    [...names.slice(1, 5), 'gone'].map((name) => `include_dir '${name}/x'\n`).join(''),
  );
  const target = { oid: '16400', name: 't', location: '/p/space', target: join(pgdata, 'space') };
  expect(await findOwnConfiguration(settings(), [{ ...target, isInsidePgdata: true }])).toEqual([
    'conf.d',
    'site',
  ]);
});

test("after an interrupted copy the record decides what is the standby's own, because the rest was copied", async () => {
  for (const name of ['conf.d', 'site']) mkdirSync(join(pgdata, name));
  writeFileSync(join(pgdata, 'postgresql.conf'), "include_dir 'site'\n");
  const write = (backup: object) => {
    writeFileSync(
      join(pgdata, 'pitrtools.json'),
      JSON.stringify({ backup: { ...completeBackup, ...backup } }),
    );
  };
  write({ status: 'copying', ownConfiguration: ['site'] });
  expect(await findOwnConfiguration(settings(), [])).toEqual(['site']);
  write({ status: 'copying' });
  expect(await findOwnConfiguration(settings(), [])).toEqual([]);
  write({ status: 'complete' });
  expect(await findOwnConfiguration(settings(), [])).toEqual(['conf.d', 'site']);
});
