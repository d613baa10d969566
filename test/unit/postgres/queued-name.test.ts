import { expect, test } from 'vitest';
import { fileNameOf, parseQueuedName, queuedAmong } from '../../../src/postgres/queued-name.ts';

const segment = '000000010000000000000001';

test('a segment may lie in a queue as it is, or compressed; other WAL files only as they are', () => {
  expect(parseQueuedName(segment)).toMatchObject({ name: { text: segment }, isFrame: false });
  expect(parseQueuedName(`${segment}.zst`)).toMatchObject({ name: { text: segment }, isFrame: true });
  expect(parseQueuedName('00000002.history')).toMatchObject({ isFrame: false });
  const others = ['00000002.history.zst', `${segment}.partial.zst`, `${segment}.00000028.backup.zst`];
  for (const name of [...others, `${segment}.zst.zst`, `${segment}.ZST`, '.zst', `.7.${segment}.zst.tmp`])
    expect(parseQueuedName(name), name).toBeUndefined();
});

test('the files of a queue are sent in the order of their names, whatever their form', () => {
  const names = [
    segment,
    `${segment}.zst`,
    `${segment}.00000028.backup`,
    '000000010000000000000002.zst',
    '000000010000000000000003',
    '00000002.history',
    '000000020000000000000003.zst',
  ];
  const queued = queuedAmong(['README', ...names].reverse());
  expect(queued.map(fileNameOf)).toEqual(names);
});
