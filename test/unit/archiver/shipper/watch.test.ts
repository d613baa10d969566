import { EventEmitter, once } from 'node:events';
import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { watchFile } from '../../../../src/archiver/shipper/watch.ts';

let directory: string;
let unwatch: () => void = () => undefined;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'watch-'));
});
afterEach(() => {
  unwatch();
  rmSync(directory, { recursive: true });
});

/** Resolves at the first event after the change; a test that waits in vain fails by its time limit. */
async function toldOf(file: string, change: () => void): Promise<void> {
  const events = new EventEmitter();
  const told = once(events, 'change');
  unwatch = await watchFile(file, () => events.emit('change'));
  change();
  await told;
}

test('reports a file that is written', async () => {
  const file = join(directory, 'a.ini');
  writeFileSync(file, 'one');
  await toldOf(file, () => {
    writeFileSync(file, 'two');
  });
});

test('reports a file that another takes the place of', async () => {
  const file = join(directory, 'a.ini');
  writeFileSync(file, 'one');
  await toldOf(file, () => {
    writeFileSync(`${file}.new`, 'two');
    renameSync(`${file}.new`, file);
  });
});

test('reports the file that a symbolic link leads to', async () => {
  const elsewhere = mkdtempSync(join(directory, 'other-'));
  const real = join(elsewhere, 'real.ini');
  const link = join(directory, 'a.ini');
  writeFileSync(real, 'one');
  symlinkSync(real, link);
  await toldOf(link, () => {
    writeFileSync(`${real}.new`, 'two');
    renameSync(`${real}.new`, real);
  });
});

test('a directory that cannot be watched is no failure', async () => {
  unwatch = await watchFile(join(directory, 'gone', 'a.ini'), () => undefined);
  expect(unwatch).not.toThrow();
});
