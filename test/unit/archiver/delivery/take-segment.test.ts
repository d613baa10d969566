import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import type { Delivery } from '../../../../src/archiver/delivery/delivery.ts';
import { contentOf, mayTake, segmentTaker } from '../../../../src/archiver/delivery/take-segment.ts';
import { makeFrame } from '../../../../src/archiver/frames/frame.ts';
import { walFileAt } from '../../../../src/archiver/wal/wal-file.ts';
import { parseWalName } from '../../../../src/postgres/wal-name.ts';
import { runCommand, type Session, startSession } from '../../../../src/system/command.ts';
import { scriptOf } from '../../../../src/system/ssh.ts';
import { inboxOf } from '../../../../src/verbs/scripts/delivery.ts';
import { mostTakenBytes } from '../../../../src/verbs/scripts/take.ts';
import { buildWal } from '../../../harness/wal.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

const cluster = '7300000000000000001';
const segmentBytes = 1024 * 1024;
const names = ['000000010000000000000003', '000000010000000000000004', '000000010000000000000005'] as const;
const [first, second, third] = names;

/** A segment of which so many bytes are used. */
function addSegment(directory: string, name: string, usedBytes: number): Buffer {
  const bytes = buildWal({ name, systemIdentifier: BigInt(cluster), version: '15', segmentBytes });
  bytes.fill(0, usedBytes);
  writeFileSync(join(directory, name), bytes, { mode: 0o600 });
  return bytes;
}

function fileOf(directory: string, text: string) {
  const name = parseWalName(text);
  if (name.kind === 'not-wal') throw new Error(name.reason);
  return walFileAt(join(directory, text), name);
}

interface Wire {
  /** Changes what is written. */
  write?: (input: string | Uint8Array) => string | Uint8Array | undefined;
  /** Changes a line of the answer. */
  read?: (line: string) => string | undefined;
}

/** A standby whose script runs here. */
function stage(wire: Wire = {}) {
  const archivedir = temporaryDirectory();
  const directory = temporaryDirectory();
  const place = {
    archivedir,
    systemIdentifier: cluster,
    lane: '.incoming/h.0',
    run: 'abcd0123',
    mode: 'store',
  } as const;
  mkdirSync(join(archivedir, inboxOf(place)), { recursive: true });
  writeFileSync(join(archivedir, '.pitrtools'), `system_identifier: ${cluster}\n`);
  const sessions: Session[] = [];
  let readySessions = 0;
  const start: Delivery['shell']['start'] = (work, options) => {
    const session = startSession(
      { program: '/bin/sh', args: ['-c', scriptOf(work)] },
      {
        onLine: (line) => {
          if (line === 'ready') readySessions += 1;
          const heard = wire.read === undefined ? line : wire.read(line);
          if (heard !== undefined) options.onLine(heard);
        },
      },
    );
    sessions.push(session);
    return {
      ...session,
      write: (input) => {
        const sent = wire.write === undefined ? input : wire.write(input);
        if (sent !== undefined) session.write(sent);
      },
    };
  };
  let nowMs = 0;
  const log = { debug: () => undefined } as never;
  const taker = segmentTaker({ monotonicMs: () => nowMs, log }, { place, shell: { start } as never });
  onTestFinished(async () => {
    taker.end();
    await Promise.all(sessions.map(({ ended }) => ended));
  });
  const take = async (name: string, stop?: AbortSignal) => taker.take(await fileOf(directory, name), stop);
  const takeFrames = async (framed: readonly string[], limitMs = 60_000, stop?: AbortSignal) => {
    const files = framed.map(async (name) => {
      const made = await makeFrame(
        { run: runCommand, zstd: '/usr/bin/zstd' },
        await fileOf(directory, name),
        join(directory, `${name}.zst`),
      );
      if (made.kind === 'none') throw new Error(made.reason);
      return { ...(await fileOf(directory, name)), frame: made.frame };
    });
    return taker.takeFrames(await Promise.all(files), limitMs, stop);
  };
  return {
    directory,
    sessions,
    taker,
    take,
    takeFrames,
    inbox: () => readdirSync(join(archivedir, inboxOf(place))),
    bytesOf: (name: string) => readFileSync(join(archivedir, inboxOf(place), name)),
    advance: (ms: number) => {
      nowMs += ms;
    },
    /** Starts the session: the first segment does not wait for it. */
    begin: async (count = 1) => {
      expect(await take(first)).toBe(false);
      while (readySessions < count) await delay(5);
    },
  };
}

test('the first segment starts the session, and the next ones are taken by it', async () => {
  const { directory, sessions, take, inbox, bytesOf, begin } = stage();
  const bytes = new Map(names.map((name, index) => [name, addSegment(directory, name, 8192 * (index + 1))]));
  await begin();
  for (const name of [second, third, first]) {
    expect(await take(name)).toBe(true);
    expect(bytesOf(name).equals(bytes.get(name) ?? Buffer.of())).toBe(true);
  }
  expect(inbox()).toEqual([...names]);
  expect(sessions).toHaveLength(1);
});

test('only where the greeting offers it, WAL is stored, and rsync would do nothing else to a file', () => {
  const delivery = (flags: readonly string[], mode: 'store' | 'compare' = 'store', takesSegments = true) =>
    ({ takesSegments, place: { mode }, rsync: { flags } }) as never;
  expect(mayTake(delivery([]))).toBe(true);
  expect(mayTake(delivery(['-z', '--compress-choice=lz4', '-v']))).toBe(true);
  expect(mayTake(delivery(['-z'], 'compare'))).toBe(false);
  expect(mayTake(delivery(['-z'], 'store', false))).toBe(false);
  for (const flag of [
    '--chmod=g+r',
    '-S',
    '-zS',
    '--sparse',
    '--bwlimit=1',
    '--temp-dir=/x',
    '--rsync-path=sudo rsync',
  ])
    expect(mayTake(delivery(['-z', flag]))).toBe(false);
});

test('two at once: rsync sends the other one', async () => {
  const { directory, take, begin } = stage();
  for (const name of names) addSegment(directory, name, 9000);
  await begin();
  expect(await Promise.all([take(second), take(third)])).toEqual([true, false]);
});

test('only a segment of few bytes, of this cluster, under its own name can travel in this way', async () => {
  const directory = temporaryDirectory();
  const content = async (text: string, systemIdentifier = cluster) =>
    contentOf(await fileOf(directory, text), systemIdentifier);
  addSegment(directory, first, mostTakenBytes);
  expect((await content(first))?.bytes).toHaveLength(mostTakenBytes);
  expect(await content(first, '7300000000000000002')).toBeUndefined();
  addSegment(directory, second, mostTakenBytes + 1);
  expect(await content(second)).toBeUndefined();
  const late = addSegment(directory, second, 8192);
  late[segmentBytes - 1] = 1;
  writeFileSync(join(directory, second), late);
  expect(await content(second)).toBeUndefined();
  writeFileSync(join(directory, third), readFileSync(join(directory, first)));
  expect(await content(third)).toBeUndefined();
  writeFileSync(join(directory, third), Buffer.alloc(segmentBytes));
  expect(await content(third)).toBeUndefined();
  writeFileSync(join(directory, '00000002.history'), '1\t0/1\tx\n');
  expect(await content('00000002.history')).toBeUndefined();
  const path = join(directory, first);
  chmodSync(path, 0o640);
  expect(await content(first)).toBeUndefined();
  chmodSync(path, 0o600);
  utimesSync(path, 1_700_000_000, 1_700_000_000);
  expect((await content(first))?.offer).toMatchObject({
    name: first,
    size: segmentBytes,
    mtimeNs: 1_700_000_000n * 10n ** 9n,
  });
});

test.each<[string, Wire]>([
  [
    'bytes change on their way',
    { write: (input) => (typeof input === 'string' ? input : Buffer.alloc(input.length, 1)) },
  ],
  [
    'the line changes on its way',
    { write: (input) => (typeof input === 'string' ? input.replace(' ', ' 9') : input) },
  ],
  ['the answer names another segment', { read: (line) => line.replace(/^taken .*/, `taken ${first}`) }],
  ['the answer is not understood', { read: (line) => line.replace(/^taken .*/, 'done') }],
])('nothing counts as taken where %s, and rsync has its time', async (_, wire) => {
  const { directory, sessions, take, begin, advance } = stage(wire);
  for (const name of names) addSegment(directory, name, 9000);
  await begin();
  expect(await take(second)).toBe(false);
  await sessions[0]?.ended;
  advance(59_000);
  expect(await take(third)).toBe(false);
  expect(sessions).toHaveLength(1);
  advance(2_000);
  expect(await take(third)).toBe(false);
  expect(sessions).toHaveLength(2);
});

test('a session that ends in between, or while it takes one, is no success', async () => {
  let isCut = false;
  let written = 0;
  const wire: Wire = {
    write: (input) => {
      written += 1;
      return isCut ? input.slice(0, 100) : input;
    },
  };
  const { directory, sessions, take, inbox, begin, advance } = stage(wire);
  for (const name of names) addSegment(directory, name, 9000);
  await begin();
  isCut = true;
  const cut = take(second);
  while (written < 2) await delay(5);
  sessions[0]?.close();
  expect(await cut).toBe(false);
  expect(inbox()).toEqual([]);
  isCut = false;
  advance(61_000);
  await begin(2);
  sessions[1]?.kill();
  await sessions[1]?.ended;
  expect(await take(third)).toBe(false);
  expect(inbox()).toEqual([]);
});

test('a standby that does not answer is given up when the transfer must end, or after its time', async () => {
  let written = 0;
  const wire: Wire = {
    read: (line) => (line.startsWith('taken') ? undefined : line),
    write: (input) => {
      written += 1;
      return input;
    },
  };
  const { directory, sessions, take, begin } = stage(wire);
  for (const name of names) addSegment(directory, name, 9000);
  await begin();
  const stop = new AbortController();
  const waiting = take(second, stop.signal);
  while (written < 2) await delay(5);
  stop.abort();
  expect(await waiting).toBe(false);
  await sessions[0]?.ended;
  expect(await take(second, stop.signal)).toBe(false);
  expect(sessions).toHaveLength(1);
  // That was no fault of the standby: a new session may begin at once.
  await begin(2);
  expect(await take(third)).toBe(false);
  expect(sessions).toHaveLength(2);
});

test('frames of a batch are taken one after the other, among single segments', async () => {
  const { directory, sessions, take, takeFrames, inbox, bytesOf, begin } = stage();
  for (const name of names) addSegment(directory, name, 9000);
  utimesSync(join(directory, first), 1_700_000_000, 1_700_000_000.5);
  await begin();
  expect(await takeFrames([first, second])).toBe(true);
  expect(await take(third)).toBe(true);
  expect(await takeFrames([third])).toBe(true);
  expect(inbox()).toEqual([`${first}.zst`, `${second}.zst`, third, `${third}.zst`]);
  for (const name of names)
    expect(bytesOf(`${name}.zst`).equals(readFileSync(join(directory, `${name}.zst`)))).toBe(true);
  expect(sessions).toHaveLength(1);
});

test.each<[string, Wire]>([
  [
    'a line changes on its way',
    { write: (input) => (typeof input === 'string' ? `${input.trim()} 9\n` : input) },
  ],
  ['an answer names another segment', { read: (line) => line.replace(`taken ${second}`, `taken ${third}`) }],
  ['an answer is not understood', { read: (line) => line.replace(/^taken .*/, 'done') }],
])('no frame counts as taken where %s, and rsync has its time', async (_, wire) => {
  const { directory, sessions, takeFrames, begin, advance } = stage(wire);
  for (const name of names) addSegment(directory, name, 9000);
  await begin();
  expect(await takeFrames([first, second])).toBe(false);
  await sessions[0]?.ended;
  advance(59_000);
  expect(await takeFrames([third])).toBe(false);
  expect(sessions).toHaveLength(1);
  advance(2_000);
  await takeFrames([third]);
  expect(sessions).toHaveLength(2);
});

test('frames wait until the session has begun, which is started while they are made', async () => {
  const { directory, sessions, taker, takeFrames, inbox } = stage();
  for (const name of names) addSegment(directory, name, 9000);
  taker.prepare();
  expect(await takeFrames([first, second])).toBe(true);
  expect(inbox()).toEqual([`${first}.zst`, `${second}.zst`]);
  expect(sessions).toHaveLength(1);
});

test('frames wait for no session that does not begin, or that ends before', async () => {
  const silent = stage({ read: () => undefined });
  addSegment(silent.directory, first, 9000);
  expect(await silent.takeFrames([first])).toBe(false);
  const began = Date.now();
  expect(await silent.takeFrames([first])).toBe(false);
  expect(Date.now() - began).toBeLessThan(2000);
  expect(silent.sessions).toHaveLength(1);
  const other = stage({ read: () => 'no-inbox' });
  addSegment(other.directory, first, 9000);
  expect(await other.takeFrames([first])).toBe(false);
  expect(await other.takeFrames([first])).toBe(false);
  expect(other.sessions).toHaveLength(1);
});

test('a frame of a segment that its group may read is left to rsync, as the segment itself', async () => {
  const { directory, sessions, takeFrames } = stage();
  for (const name of [first, second]) addSegment(directory, name, 9000);
  chmodSync(join(directory, second), 0o640);
  expect(await takeFrames([first, second])).toBe(false);
  expect(await takeFrames([first])).toBe(true);
  expect(sessions).toHaveLength(1);
});

test('of a frame whose bytes are kept, the file is not read again', async () => {
  const { directory, taker, bytesOf } = stage();
  addSegment(directory, first, 9000);
  const file = await fileOf(directory, first);
  const target = join(directory, 'frame');
  const made = await makeFrame({ run: runCommand, zstd: '/usr/bin/zstd' }, file, target, 1024 * 1024);
  if (made.kind === 'none') throw new Error(made.reason);
  const bytes = readFileSync(target);
  rmSync(target);
  expect(await taker.takeFrames([{ ...file, frame: made.frame }], 60_000)).toBe(true);
  expect(bytesOf(`${first}.zst`).equals(bytes)).toBe(true);
});

test('frames are given up after their time, or when the transfer must end', async () => {
  let written = 0;
  const { directory, sessions, takeFrames, begin, advance } = stage({
    read: (line) => (line.startsWith('taken') ? undefined : line),
    write: (input) => {
      written += 1;
      return input;
    },
  });
  for (const name of names) addSegment(directory, name, 9000);
  await begin();
  expect(await takeFrames([second], 50)).toBe(false);
  await sessions[0]?.ended;
  advance(61_000);
  await begin(2);
  const before = written;
  const stop = new AbortController();
  const waiting = takeFrames([second], 60_000, stop.signal);
  while (written === before) await delay(5);
  stop.abort();
  expect(await waiting).toBe(false);
  await sessions[1]?.ended;
});

test('a frame that cannot be read is sent by rsync, and the session is over', async () => {
  const { directory, sessions, taker, begin } = stage();
  addSegment(directory, first, 9000);
  await begin();
  const frame = { path: join(directory, 'nowhere'), bytes: 10, digest: '', size: 10 };
  expect(await taker.takeFrames([{ ...(await fileOf(directory, first)), frame }], 60_000)).toBe(false);
  await sessions[0]?.ended;
});
