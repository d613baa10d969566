import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { capabilitiesOf } from '../../../../../../src/postgres/capabilities.ts';
import { parseVersion } from '../../../../../../src/postgres/version.ts';
import {
  findMounted,
  removeOldCopy,
} from '../../../../../../src/standby/actions/base-backup/streaming/old-copy.ts';
import { temporaryDirectory } from '../../../../system/temporary.ts';
import { localPlace } from '../facts-kit.ts';

test('a file system is in the way where a new copy replaces what is mounted, and nowhere else', async () => {
  const pgdata = join(temporaryDirectory(), 'main');
  for (const name of ['base', 'pg_stat_tmp', 'pg_wal', 'log'])
    mkdirSync(join(pgdata, name), { recursive: true });
  const mounts = ['base/5', 'pg_stat_tmp', 'pg_wal', 'log'].map((name) => join(pgdata, name));
  const find = (directory: string) =>
    findMounted(localPlace({ pgdata: directory }), () => Promise.resolve(mounts));
  expect(await find(pgdata)).toEqual([join(pgdata, 'base/5'), join(pgdata, 'pg_stat_tmp')]);
  expect(await find(join(pgdata, 'missing'))).toEqual([]);
});

test('of a tablespace only the folder of this version is removed, because another folder belongs to another server', async () => {
  const directory = temporaryDirectory();
  const [pgdata, target] = [join(directory, 'main'), join(directory, 'space')];
  const paths = ['PG_15_202209061', 'PG_14_202107181', 'mine'].map((name) => join(target, name, '5'));
  for (const path of [pgdata, ...paths]) mkdirSync(path, { recursive: true });
  const fast = { oid: '16400', name: 'fast', location: '/fast', target, isInsidePgdata: false };
  await removeOldCopy(localPlace({ pgdata, targets: [fast] }), capabilitiesOf(parseVersion('15')));
  expect(paths.map((path) => existsSync(path))).toEqual([false, true, true]);
});
