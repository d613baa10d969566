import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ArchiverDeps } from '../../../../src/archiver/deps.ts';
import { layoutOf } from '../../../../src/archiver/layout.ts';
import { enqueue } from '../../../../src/archiver/queue/enqueue.ts';
import { findLeftovers } from '../../../../src/archiver/queue/leftover-queues.ts';
import { createCopier, withLocalCopy } from '../../../../src/archiver/queue/local-copy.ts';
import { nextFromQueue, type Sending } from '../../../../src/archiver/queue/outgoing.ts';
import {
  isInQueue,
  isQueueEmpty,
  listQueue,
  measureQueue,
  removeFromQueue,
} from '../../../../src/archiver/queue/queue.ts';
import { readCluster } from '../../../../src/archiver/wal/cluster.ts';
import type { WalFile } from '../../../../src/archiver/wal/wal-file.ts';
import { runCommand } from '../../../../src/system/command.ts';
import { textLog } from '../../../../src/system/log.ts';
import { buildWal } from '../../../harness/wal.ts';
import { controlIn } from '../../postgres/fixtures/changed-control.ts';
import { temporaryDirectory } from '../../system/temporary.ts';
import { walFile, walName } from '../wal-fixture.ts';

const segments = [1, 2, 3, 4].map((number) => `00000001000000000000000${number}`);
const [first = '', second = '', third = ''] = segments;

/** A queue, and a zstd that `zstd` replaces if it is given. */
function site(zstd?: string) {
  const root = temporaryDirectory();
  const layout = layoutOf(join(root, 'l_archive'));
  mkdirSync(layout.temporary, { recursive: true });
  const lines: string[] = [];
  const log = textLog({ debug: false }, (line) => {
    lines.push(line);
  });
  const bin = join(root, 'bin');
  mkdirSync(bin);
  if (zstd !== undefined) writeFileSync(join(bin, 'zstd'), `#!/bin/sh\n${zstd}\n`, { mode: 0o700 });
  const settings = { queue_compress: true, includepath: [bin], pgdata: join(root, 'pgdata') };
  let nonces = 0;
  const deps = {
    run: runCommand,
    log,
    settings,
    layout,
    pid: 7,
    nonce: () => `n${(nonces += 1)}`,
  } as unknown as ArchiverDeps;
  const lane = { queue: join(layout.root, 's1'), name: 's1' };
  const copier = createCopier(deps);
  const add = async (name: string, content: string | Buffer): Promise<WalFile> => {
    const file = await walFile(join(root, 'pg_wal'), name, content);
    await withLocalCopy(copier, file, (copy) => enqueue(deps, copy, lane));
    return file;
  };
  const addPlainly = async (name: string, content: string): Promise<void> => {
    const file = await walFile(join(root, 'pg_wal'), name, content);
    await withLocalCopy({ ...copier, compress: undefined }, file, (copy) => enqueue(deps, copy, lane));
  };
  const queued = (): string[] => readdirSync(lane.queue).sort();
  const sending: Sending = {
    deps,
    lane,
    limits: { files: 256, bytes: 10_000_000 },
    takesFrames: false,
    compressesLightly: false,
  };
  return { root, layout, lines, deps, lane, copier, add, addPlainly, queued, sending };
}

/** Content that zstd makes much smaller. */
const wal = (seed: number): string => `segment ${seed} `.repeat(20_000);

describe('with queue_compress a segment', () => {
  test('is queued as a frame, once for all queues, and other WAL files as they are', async () => {
    const { root, layout, deps, copier, add, queued, lane } = site();
    const file = await walFile(join(root, 'pg_wal'), first, wal(1));
    const other = { queue: join(layout.root, 's2'), name: 's2' };
    await withLocalCopy(copier, file, async (copy) => {
      for (const one of [lane, other]) await enqueue(deps, copy, one);
      expect(readdirSync(layout.temporary)).toEqual([`7.${first}.zst`]);
    });
    expect(readdirSync(layout.temporary)).toEqual([]);
    const [one, two] = [lane, other].map(({ queue }) => statSync(join(queue, `${first}.zst`)));
    expect([one?.ino, one?.nlink, one?.mode]).toEqual([two?.ino, 2, statSync(file.path).mode]);
    expect(one?.size).toBeLessThan(wal(1).length / 10);
    await add('00000002.history', '1\t0/1\tno reason\n');
    expect(queued()).toEqual(['00000002.history', `${first}.zst`].sort());
  });

  test('counts once in whatever forms it is there, and leaves the queue in both', async () => {
    const { add, addPlainly, lane, queued } = site();
    await add(first, wal(1));
    writeFileSync(join(lane.queue, first), wal(1));
    await addPlainly(second, wal(2));
    await add(third, wal(3));
    expect((await listQueue(lane.queue)).map(({ text }) => text)).toEqual([first, second, third]);
    expect((await listQueue(lane.queue, 2)).map(({ text }) => text)).toEqual([first, second]);
    const bytes = queued().reduce((sum, name) => sum + statSync(join(lane.queue, name)).size, 0);
    expect(await measureQueue(lane.queue)).toEqual({ files: 3, bytes });
    expect(await isInQueue(lane.queue, walName(third))).toBe(true);
    const frame = statSync(join(lane.queue, `${first}.zst`)).size;
    expect(await removeFromQueue(lane.queue, [walName(first)])).toBe(frame + wal(1).length);
    expect(queued()).toEqual([second, `${third}.zst`]);
    await removeFromQueue(lane.queue, [second, third].map(walName));
    expect(await isQueueEmpty(lane.queue)).toBe(true);
  });

  test('is queued again without harm, in either form, and refused with other bytes', async () => {
    const { add, addPlainly, queued } = site();
    await add(first, wal(1));
    await add(first, wal(1));
    await addPlainly(first, wal(1));
    expect(queued()).toEqual([`${first}.zst`]);
    const refusal = {
      message: `the queue of standby "s1" holds a different file named ${first}.zst`,
      detail: expect.stringMatching(/queued: sha256 [0-9a-f]{64}; to archive: sha256 [0-9a-f]{64}/) as string,
    };
    await expect(add(first, wal(9))).rejects.toMatchObject(refusal);
    await expect(addPlainly(first, wal(9))).rejects.toMatchObject(refusal);
    await addPlainly(second, wal(2));
    await add(second, wal(2));
    await expect(add(second, wal(9))).rejects.toThrow(`holds a different file named ${second}`);
    expect(queued()).toEqual([`${first}.zst`, second]);
  });

  test('is queued beside its damaged frame', async () => {
    const { add, lane, queued, sending } = site();
    await add(first, wal(1));
    truncateSync(join(lane.queue, `${first}.zst`), 40);
    await add(first, wal(1));
    expect(queued()).toEqual([first, `${first}.zst`]);
    expect(readFileSync(join(lane.queue, first), 'utf8')).toBe(wal(1));
    const taken = await nextFromQueue(sending, [walName(first)]);
    expect(taken).toMatchObject({ kind: 'batch', batch: { directory: lane.queue } });
  });
});

describe('a segment is queued as it is, with one warning,', () => {
  const garbage = `case " $* " in *" -o "*) ;; *) exec /usr/bin/env -i PATH=/usr/bin:/bin zstd "$@" ;; esac
while [ "$1" != -o ]; do shift; done
head -c 300000 /dev/zero | /usr/bin/env -i PATH=/usr/bin:/bin zstd -q --check --stream-size=300000 -o "$2"`;
  test.each([
    ['if zstd fails', 'echo "no memory" >&2; exit 9', 'exit status 9: no memory'],
    ['if it writes no frame', 'while [ "$1" != -o ]; do shift; done; echo nonsense >"$2"', 'no frame'],
    ['if it writes another content of the same length', garbage, 'does not unpack to the segment'],
  ])('%s', async (_, zstd, reason) => {
    const { add, queued, lines, layout, lane } = site(zstd);
    const content = 'x'.repeat(300_000);
    await add(first, content);
    await add(second, content);
    expect(queued()).toEqual([first, second]);
    expect(readFileSync(join(lane.queue, first), 'utf8')).toBe(content);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(`queue_compress: ${first} is queued without compression`);
    expect(lines[0]).toContain(reason);
    expect(readdirSync(layout.temporary)).toEqual([]);
  });

  test('if it does not become smaller', async () => {
    const { add, queued, lines } = site();
    await add(first, randomBytes(100_000));
    await add(second, Buffer.from(randomBytes(50_000).toString('hex')));
    expect(queued()).toEqual([first, `${second}.zst`]);
    expect(lines).toHaveLength(1);
  });
});

test('a segment that changes while it is compressed is not queued', async () => {
  const { root, deps, copier, lane } = site();
  const file = await walFile(join(root, 'pg_wal'), first, wal(1));
  writeFileSync(file.path, wal(2));
  await expect(withLocalCopy(copier, file, (copy) => enqueue(deps, copy, lane))).rejects.toThrow(
    /changed while it was copied/,
  );
  expect(await isQueueEmpty(lane.queue)).toBe(true);
});

describe('for a standby that cannot unpack them, frames', () => {
  test('are unpacked beside the queue, up to the next plain file, and the unpacked files go', async () => {
    const { add, addPlainly, sending, layout, lane } = site();
    for (const [index, name] of [first, second].entries()) await add(name, wal(index));
    await addPlainly(third, wal(3));
    const taken = await nextFromQueue(sending, [walName(first), walName(second), walName(third)]);
    if (taken.kind !== 'batch') throw new Error(taken.trouble.reason);
    const { directory, files } = taken.batch;
    expect(files.map(({ name }) => name.text)).toEqual([first, second]);
    for (const [index, { name, path }] of files.entries()) {
      expect(path).toBe(join(directory, name.text));
      expect(readFileSync(path, 'utf8')).toBe(wal(index));
    }
    expect(directory.startsWith(layout.unpacked)).toBe(true);
    await taken.release();
    expect(existsSync(directory)).toBe(false);
    const plain = await nextFromQueue(sending, [walName(third)]);
    expect(plain).toMatchObject({
      kind: 'batch',
      batch: { directory: lane.queue, files: [{ name: { text: third } }] },
    });
  });

  test('are taken up to the limit', async () => {
    const { add, sending } = site();
    for (const name of segments) await add(name, wal(1));
    const limits = { files: 256, bytes: 2 * wal(1).length };
    const taken = await nextFromQueue({ ...sending, limits }, segments.map(walName) as never);
    expect(taken).toMatchObject({
      batch: { files: [{ name: { text: first } }, { name: { text: second } }] },
    });
  });

  test('are read once by a lane that sends them as they are', async () => {
    const { add, sending, lane } = site();
    await add(first, wal(1));
    const taken = await nextFromQueue({ ...sending, takesFrames: true }, [walName(first)]);
    if (taken.kind !== 'batch') throw new Error(taken.trouble.reason);
    const { directory, files } = taken.batch;
    const bytes = readFileSync(join(lane.queue, `${first}.zst`));
    expect(directory).toBe(lane.queue);
    expect(files.map(({ frame }) => frame)).toMatchObject([{ bytes: bytes.length, size: wal(1).length }]);
    expect(files[0]?.frame?.content?.equals(bytes)).toBe(true);
  });

  test('of which zstd was killed are not taken for damaged', async () => {
    const { root, add, sending } = site();
    await add(first, wal(1));
    writeFileSync(join(root, 'bin', 'zstd'), '#!/bin/sh\nkill -9 $$\n', { mode: 0o700 });
    const stuck = await nextFromQueue(sending, [walName(first)]);
    expect(stuck).toMatchObject({ kind: 'stuck', trouble: { kind: 'failed' } });
    if (stuck.kind !== 'stuck') throw new Error('not stuck');
    expect(stuck.trouble.reason).toContain('cannot be unpacked: zstd: ended by SIGKILL');
  });

  test('are sent up to a damaged one, which is named', async () => {
    const { add, sending, lane, layout } = site();
    for (const name of [first, second]) await add(name, wal(1));
    const path = join(lane.queue, `${second}.zst`);
    const bytes = readFileSync(path);
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1);
    writeFileSync(path, bytes);
    const taken = await nextFromQueue(sending, [walName(first), walName(second)]);
    expect(taken).toMatchObject({ kind: 'batch', batch: { files: [{ name: { text: first } }] } });
    const stuck = await nextFromQueue(sending, [walName(second)]);
    expect(stuck).toMatchObject({ kind: 'stuck', trouble: { kind: 'damaged' } });
    if (stuck.kind !== 'stuck') throw new Error('not stuck');
    expect(stuck.trouble.reason).toContain(`the queued file "${path}" is damaged`);
    expect(stuck.trouble.hint).toContain(join(lane.queue, second));
    if (taken.kind === 'batch') await taken.release();
    expect(readdirSync(layout.unpacked)).toEqual([]);
  });
});

describe('a queued file that cannot be read', () => {
  test.each([
    ['a frame', true],
    ['a plain file', false],
  ])('keeps none of those before it: %s', async (_, isFrame) => {
    const { add, addPlainly, sending, lane } = site();
    await (isFrame ? add(first, wal(1)) : addPlainly(first, wal(1)));
    // A frame whose content cannot be read, like that of a file on a bad block, and a link that leads nowhere.
    if (isFrame) mkdirSync(join(lane.queue, `${second}.zst`));
    else symlinkSync('nowhere', join(lane.queue, second));
    for (const takesFrames of [false, true]) {
      const here = { ...sending, takesFrames };
      const taken = await nextFromQueue(here, [walName(first), walName(second)]);
      expect(taken).toMatchObject({ kind: 'batch', batch: { files: [{ name: { text: first } }] } });
      if (taken.kind === 'batch') await taken.release();
      await expect(nextFromQueue(here, [walName(second)])).rejects.toThrow(second);
    }
  });
});

describe('a damaged frame of a segment that pg_wal still has', () => {
  /** A segment that is in pg_wal and, as one frame, in the queues of these standbys. */
  async function queuedFor(standbys: readonly string[]) {
    const here = site();
    const { root, deps, copier, sending, layout } = here;
    const systemIdentifier = 7_300_000_000_000_000_001n;
    const control = Buffer.alloc(512);
    control.writeBigUInt64LE(systemIdentifier);
    control.writeUInt32LE(1800, 8);
    mkdirSync(join(root, 'pgdata', 'global'), { recursive: true });
    writeFileSync(join(root, 'pgdata', 'global', 'pg_control'), control);
    writeFileSync(layout.systemIdentifier, systemIdentifier.toString());
    const bytes = buildWal({ name: first, systemIdentifier, version: '18' });
    const file = await walFile(join(root, 'pgdata', 'pg_wal'), first, bytes);
    const lanes = standbys.map((name) => ({ name, queue: join(layout.root, name) }));
    await withLocalCopy(copier, file, async (copy) => {
      for (const lane of lanes) await enqueue(deps, copy, lane);
    });
    const frame = join(layout.root, standbys[0] ?? '', `${first}.zst`);
    const take = () =>
      Promise.all(lanes.map((lane) => nextFromQueue({ ...sending, lane }, [walName(first)])));
    const expectReplaced = (taken: Awaited<ReturnType<typeof take>>): void => {
      expect(taken.map((each) => (each.kind === 'stuck' ? each.trouble.reason : each.kind))).toEqual(
        lanes.map(() => 'batch'),
      );
      for (const { queue } of lanes) {
        expect(readdirSync(queue)).toEqual([first]);
        expect(readFileSync(join(queue, first)).equals(bytes)).toBe(true);
      }
      expect(readdirSync(layout.temporary)).toEqual([]);
    };
    return { ...here, frame, take, expectReplaced };
  }

  test('is replaced, although all bytes of the segment come out of it', async () => {
    const { frame, take, expectReplaced } = await queuedFor(['s1']);
    appendFileSync(frame, Buffer.alloc(4096));
    expectReplaced(await take());
  });

  test('is replaced in all queues that share it, by their lanes at once', async () => {
    const { frame, take, expectReplaced } = await queuedFor(['s1', 's2', 's3', 's4', 's5', 's6']);
    truncateSync(frame, 1000);
    expectReplaced(await take());
  });

  test('is not replaced in recovery, where the segment in pg_wal may be half received', async () => {
    const { frame, take, root, layout } = await queuedFor(['s1']);
    writeFileSync(join(root, 'pgdata', 'global', 'pg_control'), controlIn('in-archive-recovery'));
    const { systemIdentifier } = await readCluster(join(root, 'pgdata'));
    writeFileSync(layout.systemIdentifier, systemIdentifier);
    const half = buildWal({ name: first, systemIdentifier: BigInt(systemIdentifier), version: '18' });
    writeFileSync(join(root, 'pgdata', 'pg_wal', first), half.fill(0, half.length / 2));
    truncateSync(frame, 1000);
    const [stuck] = await take();
    if (stuck?.kind !== 'stuck') throw new Error('not stuck');
    expect(stuck.trouble).toMatchObject({ kind: 'damaged' });
    expect(stuck.trouble.reason).toContain('this server is in recovery');
    expect(readdirSync(dirname(frame))).toEqual([basename(frame)]);
  });

  test('is said to be gone only if it is: not for a full disk', async () => {
    const { frame, take, layout } = await queuedFor(['s1']);
    truncateSync(frame, 1000);
    writeFileSync(layout.unpacked, 'no directory');
    const [stuck] = await take();
    if (stuck?.kind !== 'stuck') throw new Error('not stuck');
    expect(stuck.trouble.reason).toMatch(/cannot be taken from pg_wal again: E/);
    expect(stuck.trouble.reason).not.toContain('does not have');
  });

  test('is left alone if it turns out to be whole', async () => {
    const { frame, take, root, lines } = await queuedFor(['s1']);
    // Twice it gets no memory.
    const zstd = `for n in 1 2; do mkdir "${root}/$n" 2>/dev/null && exit 1; done
exec /usr/bin/zstd "$@"`;
    writeFileSync(join(root, 'bin', 'zstd'), `#!/bin/sh\n${zstd}\n`, { mode: 0o700 });
    expect(await take()).toMatchObject([{ kind: 'batch' }]);
    expect(existsSync(frame)).toBe(true);
    expect(lines).toEqual([]);
  });
});

test('two forms of a segment that contradict each other are not sent', async () => {
  const { add, sending, lane } = site();
  await add(first, wal(1));
  writeFileSync(join(lane.queue, first), wal(2));
  const stuck = await nextFromQueue(sending, [walName(first)]);
  expect(stuck).toMatchObject({ kind: 'stuck', trouble: { kind: 'conflict' } });
});

test('a queued frame that the lane delivers and removes while it is compared is queued anew', async () => {
  const { add, deps, lane, copier, queued, root } = site();
  await add(first, wal(1));
  const file = await walFile(join(root, 'pg_wal'), first, wal(1));
  let isRemoved = false;
  const run: typeof runCommand = (command, options) => {
    if (!isRemoved) rmSync(join(lane.queue, `${first}.zst`));
    isRemoved = true;
    return runCommand(command, options);
  };
  await withLocalCopy(copier, file, (copy) => enqueue({ ...deps, run }, copy, lane));
  expect(queued()).toEqual([`${first}.zst`]);
});

test('a queue that was moved elsewhere is reported like any other of no standby', async () => {
  const { root, layout, deps, add, lane } = site();
  await add(first, wal(1));
  renameSync(lane.queue, join(root, 'moved'));
  symlinkSync(join(root, 'moved'), lane.queue);
  const settings = { ...deps.settings, standbys: [] };
  const found = await findLeftovers({ ...deps, layout, settings });
  expect(found).toMatchObject([{ directory: lane.queue, files: 1 }]);
});
