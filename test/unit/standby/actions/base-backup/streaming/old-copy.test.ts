import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { capabilitiesOf } from '../../../../../../src/postgres/capabilities.ts';
import { parseVersion } from '../../../../../../src/postgres/version.ts';
import { removeOldCopy } from '../../../../../../src/standby/actions/base-backup/streaming/old-copy.ts';
import { temporaryDirectory } from '../../../../system/temporary.ts';
import { localPlace } from '../facts-kit.ts';

test('of a tablespace only the folder of this version is removed, because another folder belongs to another server', async () => {
  const directory = temporaryDirectory();
  const [pgdata, target] = [join(directory, 'main'), join(directory, 'space')];
  const paths = ['PG_15_202209061', 'PG_14_202107181', 'mine'].map((name) => join(target, name, '5'));
  for (const path of [pgdata, ...paths]) mkdirSync(path, { recursive: true });
  const fast = { oid: '16400', name: 'fast', location: '/fast', target, isInsidePgdata: false };
  await removeOldCopy(localPlace({ pgdata, targets: [fast] }), capabilitiesOf(parseVersion('15')));
  expect(paths.map((path) => existsSync(path))).toEqual([false, true, true]);
});
