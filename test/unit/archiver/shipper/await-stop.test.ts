import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  addReady,
  admit,
  createBoard,
  shipmentsInOrder,
  unseen,
} from '../../../../src/archiver/shipper/board.ts';
import { awaitStop } from '../../../../src/archiver/shipper/stop.ts';
import type { Work } from '../../../../src/archiver/shipper/work.ts';
import { readCluster } from '../../../../src/archiver/wal/cluster.ts';
import { identityOf } from '../../../../src/archiver/wal/wal-file.ts';
import { parseWalName } from '../../../../src/postgres/wal-name.ts';
import { eventually } from '../../../harness/eventually.ts';
import { controlIn } from '../../postgres/fixtures/changed-control.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

test('a stopped server has the files behind the first window shipped, too, and does not end the shipper before', async () => {
  const root = temporaryDirectory();
  const pgdata = join(root, 'pgdata');
  mkdirSync(join(pgdata, 'global'), { recursive: true });
  writeFileSync(join(pgdata, 'global', 'pg_control'), controlIn('in-production'));
  const ini = join(root, 'cmd_archiver.ini');
  writeFileSync(ini, '');
  const names = Array.from(
    { length: 300 },
    (_, index) => `0000000100000000${(index + 1).toString(16).toUpperCase().padStart(8, '0')}`,
  );
  const board = createBoard(['a']);
  for (const name of names) addReady(board, name);
  for (const text of unseen(board)) {
    const name = parseWalName(text);
    if (name.kind === 'not-wal') throw new Error(text);
    admit(board, { name, path: text, identity: { device: 1n, inode: 1n, size: 16n, mtimeNs: 1n } });
  }
  for (const shipment of shipmentsInOrder(board)) shipment.isMarked = true;
  const shipped = shipmentsInOrder(board).length;

  const end = new AbortController();
  let nowMs = 0;
  const deps = {
    settings: { pgdata },
    signal: end.signal,
    // Each look at the clock is a minute later.
    monotonicMs: () => (nowMs += 60_000),
    pause: () => Promise.resolve(),
  };
  const work = {
    deps,
    cluster: await readCluster(pgdata),
    board,
    lanes: [],
    places: { look: join(root, 'look') },
    lastProgressMs: Number.MAX_SAFE_INTEGER,
  } as unknown as Work;
  const stop = awaitStop(work, { path: ini, identity: await identityOf(ini) });
  await eventually(() => board.isStopped, { what: 'the look at the stopped server' });
  expect(unseen(board)[0]).toBe(names[shipped]);
  end.abort();
  expect(await stop).toBe('requested');
});
