import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { enqueue } from '../../../../src/archiver/queue/enqueue.ts';
import { type Copier, withLocalCopy } from '../../../../src/archiver/queue/local-copy.ts';
import { isQueueEmpty, listQueue, removeFromQueue } from '../../../../src/archiver/queue/queue.ts';
import { temporaryDirectory } from '../../system/temporary.ts';
import { walFile, walName } from '../wal-fixture.ts';

const segment = '000000010000000000000001';

interface Place {
  readonly root: string;
  readonly temporary: string;
  readonly copier: Copier;
  readonly queue: (standby: string) => string;
  readonly s1: { readonly queue: string; readonly name: string };
}

function place(): Place {
  const root = temporaryDirectory();
  mkdirSync(join(root, 'tmp'));
  const queue = (standby: string) => join(root, standby);
  const temporary = join(root, 'tmp');
  const copier = { temporary, pid: 7, compress: undefined } as unknown as Copier;
  return { root, temporary, copier, queue, s1: { queue: queue('s1'), name: 's1' } };
}

describe('a file that is added to queues', () => {
  test('is copied once for all queues, and never linked to the source', async () => {
    const { root, temporary, copier, queue } = place();
    const file = await walFile(join(root, 'pg_wal'), segment, 'bytes');
    await withLocalCopy(copier, file, async (copy) => {
      for (const standby of ['s1', 's2'])
        await enqueue(copier, copy, { queue: queue(standby), name: standby });
      expect(readdirSync(temporary)).toEqual([`7.${segment}`]);
    });
    expect(readdirSync(temporary)).toEqual([]);
    const [first, second] = ['s1', 's2'].map((standby) => statSync(join(queue(standby), segment)));
    expect(first?.ino).toBe(second?.ino);
    expect(first?.nlink).toBe(2);
    expect(first?.ino).not.toBe(statSync(file.path).ino);
    expect(readFileSync(join(queue('s1'), segment), 'utf8')).toBe('bytes');
    expect(statSync(queue('s1')).mode & 0o777).toBe(0o700);
  });

  test('succeeds again with the same bytes, and is refused with other bytes and both digests', async () => {
    const { root, temporary, copier, queue, s1 } = place();
    mkdirSync(queue('s1'));
    writeFileSync(join(queue('s1'), segment), 'bytes');
    const same = await walFile(join(root, 'pg_wal'), segment, 'bytes');
    await withLocalCopy(copier, same, (copy) => enqueue(copier, copy, s1));
    const other = await walFile(join(root, 'pg_wal'), segment, 'other');
    await expect(withLocalCopy(copier, other, (copy) => enqueue(copier, copy, s1))).rejects.toMatchObject({
      message: expect.stringContaining('holds a different file') as string,
      detail: expect.stringMatching(/queued: sha256 [0-9a-f]{64}; to archive: sha256 [0-9a-f]{64}/) as string,
    });
    expect(readFileSync(join(queue('s1'), segment), 'utf8')).toBe('bytes');
    expect(readdirSync(temporary)).toEqual([]);
  });

  test('is not queued if it changes while it is copied', async () => {
    const { root, temporary, copier, queue, s1 } = place();
    const file = await walFile(join(root, 'pg_wal'), segment, 'bytes');
    writeFileSync(file.path, 'recycled');
    await expect(withLocalCopy(copier, file, (copy) => enqueue(copier, copy, s1))).rejects.toThrow(
      /changed while it was copied/,
    );
    expect(existsSync(join(queue('s1'), segment))).toBe(false);
    expect(readdirSync(temporary)).toEqual([]);
  });

  test.skipIf(process.getuid?.() === 0)(
    'causes an error that names the queue if that cannot be written',
    async () => {
      const { root, copier, queue, s1 } = place();
      mkdirSync(queue('s1'), { mode: 0o500 });
      const file = await walFile(join(root, 'pg_wal'), segment, 'bytes');
      await expect(withLocalCopy(copier, file, (copy) => enqueue(copier, copy, s1))).rejects.toThrow(
        `cannot queue ${segment} for standby "s1" in "${queue('s1')}"`,
      );
      chmodSync(queue('s1'), 0o700);
      expect(readdirSync(queue('s1'))).toEqual([]);
    },
  );
});

test('a queue is listed in the order of sending, without files that are no WAL', async () => {
  const { queue } = place();
  expect(await listQueue(queue('s1'))).toEqual([]);
  expect(await isQueueEmpty(queue('s1'))).toBe(true);
  mkdirSync(queue('s1'));
  writeFileSync(join(queue('s1'), '.7.half.tmp'), '');
  // What a file system of its own holds.
  mkdirSync(join(queue('s1'), 'lost+found'));
  expect(await isQueueEmpty(queue('s1'))).toBe(true);
  const names = ['00000001000000000000000F', '00000002.history', '000000020000000000000010'];
  for (const name of [...names].reverse()) writeFileSync(join(queue('s1'), name), '');
  writeFileSync(join(queue('s1'), 'README'), '');
  expect((await listQueue(queue('s1'))).map(({ text }) => text)).toEqual(names);
  expect(await isQueueEmpty(queue('s1'))).toBe(false);
  await removeFromQueue(queue('s1'), names.map(walName));
  expect(readdirSync(queue('s1')).sort()).toEqual(['.7.half.tmp', 'README', 'lost+found']);
  expect(await isQueueEmpty(queue('s1'))).toBe(true);
});
