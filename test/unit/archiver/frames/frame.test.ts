import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  readFileSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  findZstd,
  type Frame,
  type FrameResult,
  type FrameTools,
  makeFrame,
  piecesOf,
  readFrame,
  unpackFrame,
} from '../../../../src/archiver/frames/frame.ts';
import { parseFrameHeader } from '../../../../src/archiver/frames/frame-header.ts';
import { identityOf } from '../../../../src/archiver/wal/wal-file.ts';
import { runCommand } from '../../../../src/system/command.ts';
import { sha256Of } from '../../../../src/system/digest.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

async function realTools(): Promise<FrameTools> {
  const zstd = await findZstd({ includepath: [] });
  if (zstd === undefined) throw new Error('this test needs zstd');
  return { run: runCommand, zstd };
}

/** A program in zstd's place: a script of sh, to which `$target` is known. */
function fakeTools(script: string): FrameTools {
  const zstd = join(temporaryDirectory(), 'zstd');
  const findTarget =
    'real=$(command -v zstd); for word; do [ "$last" = -o ] && target=$word; last=$word; done';
  writeFileSync(zstd, `#!/bin/sh\n${findTarget}\n${script}\n`, { mode: 0o755 });
  return { run: runCommand, zstd };
}

function frameOf(result: FrameResult): Frame {
  if (result.kind === 'none') throw new Error(result.reason);
  return result.frame;
}

const size = 1024 * 1024;
const content = Buffer.concat([Buffer.from('wal '.repeat(50_000)), Buffer.alloc(size - 200_000)]);

/** A file to compress, as it was looked at. */
async function source(bytes: Buffer = content) {
  const directory = temporaryDirectory();
  const path = join(directory, 'segment');
  writeFileSync(path, bytes, { mode: 0o600 });
  utimesSync(path, 1_700_000_000, 1_700_000_000);
  return {
    file: { path, identity: await identityOf(path) },
    target: join(directory, 'segment.zst'),
    directory,
  };
}

/** All bytes of a frame, as a lane writes them. */
async function bytesOf(frame: Frame): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of piecesOf(frame)) pieces.push(piece);
  return Buffer.concat(pieces);
}

test('a frame says the size of its content, has the time and mode of the file, and unpacks to the same bytes', async () => {
  const tools = await realTools();
  const { file, target, directory } = await source();
  chmodSync(file.path, 0o640);
  const frame = frameOf(await makeFrame(tools, file, target));
  expect(frame).toEqual({ path: target, bytes: statSync(target).size, digest: await sha256Of(target), size });
  expect(frame.bytes).toBeLessThan(size / 10);
  expect(statSync(target)).toMatchObject({ mode: 0o100640, mtimeMs: 1_700_000_000_000 });
  expect(frameOf(await readFrame(target))).toEqual(frame);
  const unpacked = join(directory, 'unpacked');
  expect(await unpackFrame(tools, frame, unpacked)).toBeUndefined();
  expect(readFileSync(unpacked).equals(content)).toBe(true);
  expect(statSync(unpacked)).toMatchObject({ mode: 0o100640, mtimeMs: 1_700_000_000_000 });
});

test('what an earlier process left in its place is replaced', async () => {
  const { file, target } = await source();
  writeFileSync(target, 'old');
  expect((await makeFrame(await realTools(), file, target)).kind).toBe('frame');
});

describe('there is no frame, and nothing is left,', () => {
  test.each([
    [
      'zstd fails',
      'echo something > "$target"; echo "no space" >&2; exit 1',
      /zstd: exit status 1: no space/,
    ],
    ['zstd writes nothing', 'exit 0', /ENOENT/],
    ['zstd writes no frame', 'head -c 500 /dev/urandom > "$target"', /zstd made no frame/],
    ['zstd has read other bytes', 'echo other | $real -q > "$target"', /zstd made no frame/],
    ['zstd is killed', 'kill -9 $$', /ended by SIGKILL/],
  ])('if %s', async (_, script, reason) => {
    const { file, target } = await source();
    const result = await makeFrame(fakeTools(script), file, target);
    expect(result).toMatchObject({ kind: 'none', reason: expect.stringMatching(reason) as string });
    expect(existsSync(target)).toBe(false);
  });

  test('if its content has another size', async () => {
    const { file, target } = await source();
    const other = join(temporaryDirectory(), 'other');
    writeFileSync(other, content.subarray(1));
    const result = await makeFrame(fakeTools(`$real -q -o "$target" ${other}`), file, target);
    expect(result).toEqual({
      kind: 'none',
      reason: `zstd made a frame of ${size - 1} bytes, not of ${size}`,
    });
    expect(existsSync(target)).toBe(false);
  });

  test('if the file was recycled meanwhile', async () => {
    const { file, target } = await source();
    const tools = fakeTools(`$real "$@" && touch ${file.path}`);
    const result = await makeFrame(tools, file, target);
    expect(result).toEqual({ kind: 'none', reason: `${file.path} changed while it was compressed` });
    expect(existsSync(target)).toBe(false);
  });

  test('if it saves nothing', async () => {
    const { file, target } = await source(execFileSync('head', ['-c', String(size), '/dev/urandom']));
    expect(await makeFrame(await realTools(), file, target)).toEqual({
      kind: 'none',
      reason: 'it does not become smaller',
    });
    expect(existsSync(target)).toBe(false);
  });

  test('if there is no such program', async () => {
    const { file, target } = await source();
    const result = await makeFrame({ run: runCommand, zstd: '/nowhere/zstd' }, file, target);
    expect(result.kind).toBe('none');
  });
});

test('a frame that was damaged does not unpack, and nothing is left', async () => {
  const tools = await realTools();
  const { file, target, directory } = await source();
  const frame = frameOf(await makeFrame(tools, file, target));
  const bytes = readFileSync(target);
  const middle = bytes.length >> 1;
  bytes[middle] = (bytes[middle] ?? 0) ^ 0x40;
  writeFileSync(target, bytes);
  const unpacked = join(directory, 'unpacked');
  expect(await unpackFrame(tools, frame, unpacked)).toMatch(/^zstd: exit status 1/);
  expect(existsSync(unpacked)).toBe(false);
  writeFileSync(target, bytes.subarray(0, middle));
  expect(await unpackFrame(tools, frame, unpacked)).toMatch(/^zstd: exit status 1/);
  expect(existsSync(unpacked)).toBe(false);
});

test('a frame of another size is not accepted', async () => {
  const tools = await realTools();
  const { file, target, directory } = await source();
  const frame = { ...frameOf(await makeFrame(tools, file, target)), size: size + 1 };
  const unpacked = join(directory, 'unpacked');
  expect(await unpackFrame(tools, frame, unpacked)).toBe(`it unpacked to ${size} bytes, not to ${size + 1}`);
  expect(existsSync(unpacked)).toBe(false);
});

describe('a header', () => {
  /** What zstd makes of standard input or of a file. */
  const zstd = (args: readonly string[], input: Buffer): Buffer =>
    execFileSync('zstd', ['-q', '-c', ...args], { input });
  const sized = `--stream-size=${size}`;

  test.each([0, 1, 255, 256, 65_791, 65_792, 16 * 1024 * 1024])('says a size of %i bytes', (bytes) => {
    const frame = zstd([`--stream-size=${bytes}`, '--check'], Buffer.alloc(bytes));
    const padded = Buffer.concat([frame, Buffer.alloc(18)]);
    expect(parseFrameHeader(padded)).toEqual({ kind: 'frame', size: bytes });
  });

  test.each<[string, readonly string[], RegExp]>([
    ['no size', ['--no-content-size'], /size of its content/],
    ['no checksum', [sized, '--no-check'], /no checksum/],
  ])('with %s is refused', (_, args, reason) => {
    const header = parseFrameHeader(zstd(args, content));
    expect(header).toMatchObject({ kind: 'no-frame', reason: expect.stringMatching(reason) as string });
  });

  test.each<[string, readonly number[], RegExp]>([
    ['no bytes', [], /too short/],
    ['another format', [0x1f, 0x8b, 8, 0, 0, 0], /does not begin/],
    ['a dictionary', [0x28, 0xb5, 0x2f, 0xfd, 0b10100101, 0, 0, 0, 1], /dictionary/],
    ['a window of 16 MB', [0x28, 0xb5, 0x2f, 0xfd, 0b10000100, 14 << 3, 0, 0, 0, 1], /memory/],
  ])('of %s is refused', (_, bytes, reason) => {
    const padded = bytes.length === 0 ? Buffer.of() : Buffer.concat([Buffer.from(bytes), Buffer.alloc(18)]);
    const header = parseFrameHeader(padded);
    expect(header).toMatchObject({ kind: 'no-frame', reason: expect.stringMatching(reason) as string });
  });
});

describe('the bytes of a frame', () => {
  /** Random bytes that are longer than one piece: they stay as long as they are. */
  const long = Buffer.concat([content, randomBytes(3 * size), Buffer.alloc(9 * size)]);

  test.each([
    ['short', content],
    ['of several pieces', long],
  ])('are those of its file: %s', async (_, bytes) => {
    const { file, target } = await source(bytes);
    const made = frameOf(await makeFrame(await realTools(), file, target));
    const kept = frameOf(await readFrame(target, made.bytes));
    expect(made.content).toBeUndefined();
    expect(kept.content).toHaveLength(made.bytes);
    expect(kept.digest).toBe(made.digest);
    expect((await bytesOf(made)).equals(readFileSync(target))).toBe(true);
    expect((await bytesOf(kept)).equals(readFileSync(target))).toBe(true);
  });

  test('are refused if they have become fewer', async () => {
    const { file, target } = await source(long);
    const frame = frameOf(await makeFrame(await realTools(), file, target));
    truncateSync(target, frame.bytes - 1);
    await expect(bytesOf(frame)).rejects.toThrow(
      `has become shorter: ${frame.bytes - 1} bytes, not ${frame.bytes}`,
    );
  });
});
