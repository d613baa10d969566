import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseSourcePage } from '../../../../src/standby/page-check/source-pages.ts';
import { pagesScript } from '../../../../src/verbs/scripts/data-files.ts';

const layout = { blockSize: 8192, segmentBlocks: 4, hasChecksums: true };
let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pitrtools-unit-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** What the script finds where block 1 of the file is; `od` stands in for the program, if given. */
function askForPage(fileBytes: number | undefined, od?: string) {
  const path = "the 'file'";
  if (fileBytes !== undefined) writeFileSync(join(directory, path), Buffer.alloc(fileBytes, 1));
  const bin = join(directory, 'bin');
  mkdirSync(bin);
  if (od !== undefined) {
    writeFileSync(join(bin, 'od'), `#!/bin/sh\n${od}\n`);
    chmodSync(join(bin, 'od'), 0o755);
  }
  const script = pagesScript(directory, [{ path, offset: 8192, bytes: 8192 }]);
  const env = { ...process.env, PATH: `${bin}:${process.env.PATH ?? ''}` };
  const lines = execFileSync('sh', ['-c', script], { env, encoding: 'utf8' }).split('\n');
  expect(lines).toHaveLength(3);
  return parseSourcePage(lines, 1, layout);
}

test('a page in its file is read', () => {
  expect(askForPage(16384)).toMatchObject({ kind: 'page', state: 'bad', lsn: 0x0101_0101_0101_0101n });
});

test.each([8191, 8192, 16383, 0])('a file of %i bytes ends before its second page', (bytes) => {
  expect(askForPage(bytes)).toEqual({ kind: 'beyond-end' });
});

test('a file that is not there is gone', () => {
  expect(askForPage(undefined)).toEqual({ kind: 'gone' });
});

test('a page that the host cannot read is not taken for one behind the end of its file', () => {
  expect(askForPage(16384, "echo 'od: x: Input/output error' >&2; exit 1")).toEqual({
    kind: 'unreadable',
    reason: 'od: x: Input/output error',
  });
});

test('a page of which only a part was read is not taken for one behind the end of its file', () => {
  const { kind } = askForPage(16384, "echo ' 01 02'");
  expect(kind).toBe('unreadable');
});
