import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ownDigest } from '../../../src/archiver/actions/audit.ts';
import type { ArchiverDeps } from '../../../src/archiver/deps.ts';
import { nameOf } from '../../../src/postgres/lsn.ts';
import { temporaryDirectory } from '../system/temporary.ts';

const name = nameOf(1, 5, { segmentSize: 16 * 1024 * 1024, walSegmentSkipsFF: false });
const cluster = { systemIdentifier: '1', timeline: 1, isInRecovery: false };

test('--audit --digests: a segment that is here and cannot be read is not "here no more"', async () => {
  const pgdata = temporaryDirectory();
  const deps = { settings: { pgdata } } as unknown as Pick<ArchiverDeps, 'settings'>;
  const directories = ['pg_wal', 'archive'].map((each) => join(pgdata, each));
  for (const each of directories) mkdirSync(each);
  expect(await ownDigest(deps, cluster, directories, name)).toEqual({ kind: 'gone' });
  // A file of other content by that name is not the one that was delivered.
  writeFileSync(join(pgdata, 'pg_wal', name.text), 'recycled');
  expect(await ownDigest(deps, cluster, directories, name)).toEqual({ kind: 'gone' });
  // Reading a directory fails for root as well.
  const unreadable = join(pgdata, 'archive', name.text);
  mkdirSync(unreadable);
  const own = await ownDigest(deps, cluster, directories, name);
  expect(own).toMatchObject({ kind: 'unread' });
  expect('reason' in own && own.reason).toMatch(/cannot read .*EISDIR/);
});
