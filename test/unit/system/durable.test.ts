import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  copyDurably,
  ensureDirectory,
  exists,
  linkDurably,
  readIfExists,
  requireMakeable,
  requireOwnDirectory,
  writeDurably,
} from '../../../src/system/durable.ts';
import { temporaryDirectory } from './temporary.ts';

test('a small file is replaced completely, readable only by its owner, without a temporary file left', async () => {
  const directory = temporaryDirectory();
  const path = join(directory, 'state');
  await writeDurably(path, 'one');
  await writeDurably(path, 'two');
  expect(readFileSync(path, 'utf8')).toBe('two');
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readdirSync(directory)).toEqual(['state']);
});

test('a write that fails keeps the old content and names the file', async () => {
  const directory = temporaryDirectory();
  const path = join(directory, 'state');
  writeFileSync(path, 'old');
  chmodSync(directory, 0o500);
  const isRoot = process.getuid?.() === 0;
  if (!isRoot) await expect(writeDurably(path, 'new')).rejects.toThrow(`cannot write "${path}"`);
  chmodSync(directory, 0o700);
  expect(readFileSync(path, 'utf8')).toBe('old');
  await expect(writeDurably(join(directory, 'none', 'x'), 'y')).rejects.toThrow('cannot write');
});

test('an existing file is never replaced by a link', async () => {
  const directory = temporaryDirectory();
  const [source, target] = [join(directory, 'source'), join(directory, 'target')];
  writeFileSync(source, 'new');
  expect(await linkDurably(source, target)).toBe('linked');
  writeFileSync(join(directory, 'other'), 'other');
  expect(await linkDurably(join(directory, 'other'), target)).toBe('exists');
  expect(readFileSync(target, 'utf8')).toBe('new');
});

test('a copy refuses an existing target', async () => {
  const directory = temporaryDirectory();
  const [source, target] = [join(directory, 'source'), join(directory, 'target')];
  writeFileSync(source, 'bytes');
  await copyDurably(source, target);
  expect(readFileSync(target, 'utf8')).toBe('bytes');
  await expect(copyDurably(source, target)).rejects.toThrow('EEXIST');
});

test('a missing file is read as undefined, and a directory is an error', async () => {
  const directory = temporaryDirectory();
  expect(await readIfExists(join(directory, 'none'))).toBeUndefined();
  await expect(readIfExists(directory)).rejects.toThrow(`cannot read "${directory}"`);
  expect(await exists(join(directory, 'none'))).toBe(false);
});

test('a directory is made with its parents for the owner only, and an existing one is accepted', async () => {
  const path = join(temporaryDirectory(), 'a', 'b');
  expect(await ensureDirectory(path)).toBe('made');
  expect(await ensureDirectory(path)).toBe('present');
  expect(statSync(path).mode & 0o777).toBe(0o700);
});

test('a path that is a file, or that its owner cannot write, is refused with advice', async () => {
  const directory = temporaryDirectory();
  writeFileSync(join(directory, 'file'), '');
  await expect(ensureDirectory(join(directory, 'file'))).rejects.toThrow('cannot make directory');
  chmodSync(directory, 0o500);
  await expect(requireOwnDirectory(directory)).rejects.toMatchObject({ hint: `chmod 0700 ${directory}` });
  chmodSync(directory, 0o700);
});

test('the nearest existing parent decides whether a directory can be made', async () => {
  const directory = temporaryDirectory();
  const path = join(directory, 'a', 'b', 'c');
  await requireMakeable(path);
  expect(readdirSync(directory)).toEqual([]);
  writeFileSync(join(directory, 'a'), '');
  await expect(requireMakeable(path)).rejects.toThrow(`cannot make directory "${path}"`);
  chmodSync(directory, 0o500);
  const isRoot = process.getuid?.() === 0;
  if (!isRoot) await expect(requireMakeable(join(directory, 'x'))).rejects.toThrow('cannot make directory');
  chmodSync(directory, 0o700);
});
