import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { findZstd } from '../../../../src/archiver/frames/frame.ts';
import { createFrameStore, type FrameStoreOptions } from '../../../../src/archiver/frames/store.ts';
import { type WalFile, walFileAt } from '../../../../src/archiver/wal/wal-file.ts';
import { runCommand } from '../../../../src/system/command.ts';
import { removeFile } from '../../../../src/system/files.ts';
import { temporaryDirectory } from '../../system/temporary.ts';
import { walName } from '../wal-fixture.ts';

const bytes = 100_000;
const nameAt = (number: number): string => `00000001000000000000000${number}`;

/** Segments to compress, and a store for their frames. `held`: zstd starts only when it is let go. */
async function stage(options: Partial<FrameStoreOptions> = {}, held = false) {
  const source = temporaryDirectory();
  const directory = join(temporaryDirectory(), 'frames');
  mkdirSync(directory);
  const zstd = (await findZstd({ includepath: [] })) ?? '';
  const started: string[] = [];
  const letGo: (() => void)[] = [];
  const reading = new Set<string>();
  let most = 0;
  let nowMs = 0;
  const store = createFrameStore({
    tools: {
      zstd,
      run: async (command, more) => {
        started.push(command.args.at(-1)?.slice(-1) ?? '');
        if (held) await new Promise<void>((resolve) => letGo.push(resolve));
        return runCommand(command, more);
      },
    },
    directory,
    slots: 2,
    maxBytes: 10 * bytes,
    keptBytes: bytes,
    hasRoom: () => Promise.resolve(true),
    reads: ({ name }, isReading) => {
      if (isReading) reading.add(name.text);
      else reading.delete(name.text);
      most = Math.max(most, reading.size);
    },
    remove: removeFile,
    monotonicMs: () => nowMs,
    log: { debug: () => undefined },
    ...options,
  });
  const files: WalFile[] = [];
  for (const number of [1, 2, 3, 4, 5]) {
    const path = join(source, nameAt(number));
    writeFileSync(path, Buffer.alloc(bytes, number));
    files.push(await walFileAt(path, walName(nameAt(number))));
  }
  return {
    store,
    directory,
    files: files as [WalFile, WalFile, WalFile, WalFile, WalFile],
    started,
    letGo,
    reading,
    most: () => most,
    advance: (ms: number) => {
      nowMs += ms;
    },
  };
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await delay(2);
}

test('each frame is made once, in the order in which it was asked for, so many at once', async () => {
  const { store, files, started, reading, most } = await stage();
  for (const file of [...files, ...files]) store.ask(file);
  expect(store.now(files[4])).toBe('coming');
  const frames = await Promise.all(files.map((file) => store.settled(file)));
  expect(frames.map((frame) => frame?.size)).toEqual(files.map(() => bytes));
  expect(started.toSorted()).toEqual(['1', '2', '3', '4', '5']);
  expect(started.slice(0, 2).toSorted()).toEqual(['1', '2']);
  expect(most()).toBeLessThanOrEqual(2);
  await until(() => reading.size === 0);
  expect(store.now(files[0])).toEqual(frames[0]);
});

test('the bytes of some frames are kept, and of others when those have gone', async () => {
  const { store, files, directory } = await stage({ slots: 1, keptBytes: 70 });
  const [first, second, third, fourth] = files;
  const kept = async (file: WalFile): Promise<boolean> => {
    store.ask(file);
    const frame = await store.settled(file);
    const isKept = frame?.content !== undefined;
    if (isKept) expect(frame.content).toEqual(readFileSync(join(directory, `${file.name.text}.zst`)));
    return isKept;
  };
  // A frame of these has some thirty bytes.
  expect([await kept(first), await kept(second), await kept(third)]).toEqual([true, true, false]);
  store.keep((name) => name !== first.name.text);
  expect(await kept(fourth)).toBe(true);
});

test('a frame stays while a transfer uses it, and goes when nobody needs it', async () => {
  const { store, files, directory } = await stage();
  const [first, second] = files;
  for (const file of [first, second]) store.ask(file);
  await Promise.all([store.settled(first), store.settled(second)]);
  store.use(first, 1);
  store.keep(() => false);
  await until(() => readdirSync(directory).length === 1);
  expect(readdirSync(directory)).toEqual([`${first.name.text}.zst`]);
  expect(store.now(second)).toBeUndefined();
  expect(store.now(first)).toMatchObject({ size: bytes });
  store.use(first, -1);
  store.keep(() => true);
  expect(store.now(first)).toMatchObject({ size: bytes });
  store.keep(() => false);
  await until(() => readdirSync(directory).length === 0);
});

test('what nobody needs any more is ended, and nobody waits for it', async () => {
  const { store, files, directory, letGo, started, reading } = await stage({}, true);
  const [first, second, third] = files;
  for (const file of [first, second, third]) store.ask(file);
  await until(() => started.length === 2);
  const waiting = [first, third].map((file) => store.settled(file));
  store.keep((name) => name === second.name.text);
  for (const go of letGo) go();
  expect(await Promise.all(waiting)).toEqual([undefined, undefined]);
  expect(await store.settled(second)).toMatchObject({ size: bytes });
  await until(() => reading.size === 0 && readdirSync(directory).length === 1);
  // Wanted again, before or after its zstd has ended.
  store.ask(first);
  await until(() => letGo.length === 3);
  letGo[2]?.();
  expect(await store.settled(first)).toMatchObject({ size: bytes });
  expect(existsSync(join(directory, `${first.name.text}.zst`))).toBe(true);
});

test('the room is limited, but one that is larger is made alone', async () => {
  const { store, files } = await stage({ maxBytes: 2.5 * bytes });
  const [first, second, third] = files;
  for (const file of files) store.ask(file);
  expect(await store.settled(second)).toMatchObject({ size: bytes });
  expect(await store.settled(third)).toBeUndefined();
  // What is made takes less than it could.
  await store.settled(first);
  store.ask(third);
  expect(await store.settled(third)).toMatchObject({ size: bytes });
  const small = await stage({ maxBytes: 1 });
  small.store.ask(small.files[0]);
  small.store.ask(small.files[1]);
  expect(await small.store.settled(small.files[0])).toMatchObject({ size: bytes });
  expect(await small.store.settled(small.files[1])).toBeUndefined();
});

test('after a failure none is made for a while', async () => {
  const { store, files, started, advance } = await stage({ tools: { run: runCommand, zstd: '/bin/false' } });
  const [first, second] = files;
  store.ask(first);
  expect(await store.settled(first)).toBeUndefined();
  expect(store.now(first)).toBeUndefined();
  store.ask(second);
  expect(await store.settled(second)).toBeUndefined();
  expect(started).toEqual([]);
  advance(61_000);
  store.ask(second);
  expect(store.now(second)).toBe('coming');
  expect(await store.settled(second)).toBeUndefined();
});

test('none is made where the disk has no room for it, or nobody knows', async () => {
  for (const hasRoom of [() => Promise.resolve(false), () => Promise.reject(new Error('no disk'))]) {
    const { store, files, started } = await stage({ hasRoom });
    store.ask(files[0]);
    expect(await store.settled(files[0])).toBeUndefined();
    expect(started).toEqual([]);
  }
});

test('a file that was recycled meanwhile has none, and only segments have one', async () => {
  const { store, files } = await stage();
  const [first] = files;
  store.ask(first);
  const made = await store.settled(first);
  expect(readFileSync(made?.path ?? '').length).toBe(made?.bytes);
  writeFileSync(first.path, Buffer.alloc(bytes, 9));
  const other = await walFileAt(first.path, first.name);
  store.ask(other);
  expect(await store.settled(other)).toBeUndefined();
  expect(store.now(other)).toBeUndefined();
  store.noteCopy(first, other.identity);
  expect(store.now(other)).toEqual(made);
  const history = { ...first, name: walName('00000002.history') };
  store.ask(history);
  expect(await store.settled(history)).toBeUndefined();
});

test('at the end nothing is left', async () => {
  const { store, files, directory, letGo, started, reading } = await stage({}, true);
  for (const file of files) store.ask(file);
  await until(() => started.length === 2);
  store.end();
  for (const go of letGo) go();
  await Promise.all(files.map((file) => store.settled(file)));
  await until(() => reading.size === 0 && readdirSync(directory).length === 0);
  expect(started).toHaveLength(2);
});
