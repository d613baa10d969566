import { expect, test } from 'vitest';
import { dataRequests, dataWork } from '../../../src/verbs/data-requests.ts';
import { readRequest } from '../../../src/verbs/read-request.ts';
import { verbs } from '../../../src/verbs/verbs.ts';

test('no request has the name of a verb', () => {
  expect(Object.keys(dataRequests).filter((name) => Object.hasOwn(verbs, name))).toEqual([]);
});

const requestOf = (work: ReturnType<typeof dataWork>): string =>
  typeof work === 'string' ? '' : work.request;

test.each([
  dataWork('files', { root: '/data/my main', unread: ['pg_wal', 'pg_notify/*', 'größe'], leftAlone: [] }),
  dataWork('sizes', { root: '/data', paths: ['base/1/2', '\xfc\n', "it's;$(id)"] }),
  dataWork('pages', { root: '/data', pages: [{ path: 'base/1/2', offset: 8192, bytes: 8192 }] }),
  dataWork('processes', { root: [] }),
  dataWork('answers', { address: 'fe80::1', port: 5432, user: 'it is', database: 'größe', limitS: 5 }),
  dataWork('store-offer', {
    archive: '/archive',
    timeline: 2,
    host: 'hostb',
    run: '0123456789abcdef',
    files: [{ name: '000000010000000000000001', to: 'archive', isTail: false }],
  }),
])('%j is read as it was meant', (work) => {
  const read = readRequest(requestOf(work), dataRequests, false);
  if (read.kind !== 'script') throw new Error(JSON.stringify(read));
  expect(dataWork(read.name as 'files', read.values as never)).toEqual(work);
});

test.each([
  'files /data ../etc -',
  'files /data /etc -',
  'sizes /data ..%2F..%2Fetc',
  'sizes /data a%2F.%2Fb',
  'sizes data a',
  'sizes /data',
  'read-file /etc/passwd -1',
  'read-file /etc/passwd 1e3',
  'pages /data base/1/2:0:8192:1',
  'answers -oX 5432 u d 5',
  'answers localhost 5432 dbname=x d 5',
  'answers localhost 5432 u postgres://x/y 5',
  'answers localhost 99999 u d 5',
  "read-file /data'%0Aid 10",
  'read-file /data%0Aid 10',
  'store-offer /archive 2 .. 0123456789abcdef 000000010000000000000001:archive',
  'store-offer /archive 2 hostb 0123456789abcdef ../../x:archive',
  'constructor',
  'read-file /data 10 10',
])('%s is refused', (line) => {
  expect(readRequest(line, dataRequests, true)).toMatchObject({ kind: 'refused' });
});
