import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { findForeignData } from '../../../../src/standby/host/foreign-data.ts';
import { temporaryDirectory } from '../../system/temporary.ts';
import { cluster, completeBackup, primaryFacts } from '../actions/base-backup/facts-kit.ts';

function makePlace(version = '15', folder = 'PG_15_202209061') {
  const directory = temporaryDirectory();
  const [pgdata, target] = [join(directory, 'main'), join(directory, 'space')];
  mkdirSync(join(pgdata, 'pg_tblspc'), { recursive: true });
  mkdirSync(join(target, folder), { recursive: true });
  const targets = [{ oid: '16400', name: 'fast', location: '/fast', target, isInsidePgdata: false }];
  const find = async (facts = primaryFacts({}, version)) =>
    (await findForeignData({ pgdata, content: { kind: 'empty' }, targets, walLink: undefined }, facts)).map(
      ({ message }) => message,
    );
  return { pgdata, target, folder: join(target, folder), find };
}

test('an empty folder and a folder of another version are not touched by a base backup', async () => {
  const { target, find } = makePlace();
  mkdirSync(join(target, 'PG_14_202107181', '5'), { recursive: true });
  expect(await find()).toEqual([]);
});

test('a filled folder belongs to another cluster unless a link in pgdata or the record of an unfinished copy shows its owner', async () => {
  const { pgdata, target, folder, find } = makePlace();
  writeFileSync(join(folder, 'x'), '');
  expect(await find()).toEqual([
    `"${folder}" is not empty, and nothing in "${pgdata}" shows that it is this standby's`,
  ]);
  symlinkSync(target, join(pgdata, 'pg_tblspc', '99'));
  expect(await find()).toEqual([]);
});

test.each([
  ['copying', cluster, 0],
  ['copying', '1', 1],
  ['complete', cluster, 1],
])(
  'a folder belongs to this standby by a record that is %s, of cluster %s',
  async (status, systemIdentifier, count) => {
    const { pgdata, target, folder, find } = makePlace();
    writeFileSync(join(folder, 'x'), '');
    const backup = { ...completeBackup, status, systemIdentifier, tablespaces: [target] };
    writeFileSync(join(pgdata, 'pitrtools.json'), JSON.stringify({ backup }));
    expect(await find()).toHaveLength(count);
  },
);

test("any folder of the same major version counts if the primary's pg_control is unknown", async () => {
  const { folder, find } = makePlace('15', 'PG_15_1');
  writeFileSync(join(folder, 'x'), '');
  expect(await find()).toHaveLength(0);
  expect(await find({ ...primaryFacts(), control: undefined })).toHaveLength(1);
});

test('the files of the server are in the directory itself up to 8.4', async () => {
  const { find } = makePlace('8.4', '16385');
  expect(await find()).toHaveLength(0);
  const filled = makePlace('8.4', '16385/5');
  expect(await filled.find()).toHaveLength(1);
});
