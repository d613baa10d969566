import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { pageChecksum, viewPage } from '../../../../src/postgres/page-checksum.ts';
import { checkFile, makeBuffer } from '../../../../src/standby/page-check/check-file.ts';
import {
  findAbsentTablespaces,
  listRelationFiles,
  parseRelationFile,
} from '../../../../src/standby/page-check/relation-files.ts';
import { parseSourcePage } from '../../../../src/standby/page-check/source-pages.ts';

const layout = { blockSize: 8192, segmentBlocks: 4, hasChecksums: true };
let pgdata = '';
beforeEach(() => {
  pgdata = mkdtempSync(join(tmpdir(), 'pitrtools-unit-'));
  mkdirSync(join(pgdata, 'base', '5'), { recursive: true });
});
afterEach(() => {
  rmSync(pgdata, { recursive: true, force: true });
});

/** Pages with something in them and the checksum of their place. */
function pages(count: number, firstBlock: number): Buffer {
  const bytes = new Uint8Array(count * 8192);
  for (let index = 0; index < count; index += 1) {
    const page = viewPage(bytes.buffer, index * 8192, 8192);
    page.words.fill(0x1_0001 * (index + 1));
    page.halves[4] = pageChecksum(page, firstBlock + index);
  }
  return Buffer.from(bytes);
}

function check(name: string, content: Buffer) {
  writeFileSync(join(pgdata, 'base', '5', name), content);
  const file = parseRelationFile('base/5', name);
  if (file === undefined) throw new Error(name);
  return checkFile(pgdata, file, layout, makeBuffer(layout));
}

test('a file that is longer than one read is checked', () => {
  const content = pages(300, 0);
  expect(check('16384', content)).toEqual({ pages: 300, bytes: 300 * 8192, bad: [], trouble: undefined });
  content[250 * 8192 + 100] = 99;
  expect(check('16384', content).bad).toMatchObject([{ block: 250, isPartial: false }]);
});

test("pages of a relation's second file are numbered after those of the first", () => {
  expect(check('16384.1', pages(3, 4)).bad).toEqual([]);
  expect(check('16384.1', pages(3, 0)).bad.map(({ block }) => block)).toEqual([4, 5, 6]);
});

test('an incomplete page at the end, an empty file and an unreadable file are reported as such', () => {
  expect(check('16384', pages(2, 0).subarray(0, 9000)).bad).toMatchObject([{ block: 1, isPartial: true }]);
  expect(check('16384', Buffer.alloc(0))).toMatchObject({ pages: 0, bad: [], trouble: undefined });
  const file = { path: 'base/5', fork: 'main', segment: 0 } as const;
  expect(checkFile(pgdata, file, layout, makeBuffer(layout)).trouble).toContain('EISDIR');
});

test('the files of all databases in all tablespaces are found, and none of another server', async () => {
  const files = ['base/5/1', 'base/5/1_init', 'global/1262', 'pg_tblspc/900/PG_15_1/5/2', 'base/pgsql_tmp/3'];
  for (const file of [
    ...files,
    'global/pg_control',
    'base/5/PG_VERSION',
    'pg_tblspc/900/lost/5/4',
    'pg_tblspc/900/PG_14_1/5/2',
  ]) {
    mkdirSync(join(pgdata, file, '..'), { recursive: true });
    writeFileSync(join(pgdata, file), '');
  }
  writeFileSync(join(pgdata, 'PG_VERSION'), '15\n');
  const found = await listRelationFiles(pgdata);
  expect(found.map(({ path }) => path).sort()).toEqual(files.filter((file) => !file.includes('tmp')).sort());
});

test('a tablespace without the folder of its server is noticed, because its pages cannot be checked', async () => {
  writeFileSync(join(pgdata, 'PG_VERSION'), '15\n');
  mkdirSync(join(pgdata, 'pg_tblspc', '16400', 'PG_15_202209061', '5'), { recursive: true });
  expect(await findAbsentTablespaces(pgdata)).toEqual([]);
  // A mount point on which nothing is mounted, and a link that leads nowhere.
  mkdirSync(join(pgdata, 'pg_tblspc', '16401', 'lost+found'), { recursive: true });
  symlinkSync(join(pgdata, 'nowhere'), join(pgdata, 'pg_tblspc', '16402'));
  expect([...(await findAbsentTablespaces(pgdata))].sort()).toEqual(['pg_tblspc/16401', 'pg_tblspc/16402']);
});

test("the output of the primary's host for a page is read", () => {
  const hex = `bytes ${pages(1, 9).toString('hex')}`;
  const page = { kind: 'page', state: 'good', lsn: 0x1_0001_0001_0001n, changedS: 77 };
  expect(parseSourcePage(['times 77 66', hex], 9, layout)).toEqual({ ...page, bornS: 66 });
  expect(parseSourcePage(['times 77 -', hex], 9, layout)).toEqual({ ...page, bornS: undefined });
  expect(parseSourcePage(['times 77 0', hex], 8, layout)).toMatchObject({ state: 'bad', bornS: undefined });
  expect(parseSourcePage(['times 77 66', 'bytes 0011'], 9, layout)).toEqual({ kind: 'beyond-end' });
  const gone = "stat: cannot statx 'x': No such file or directory";
  expect(parseSourcePage([gone, 'bytes '], 9, layout)).toEqual({ kind: 'gone' });
  const denied = "stat: cannot statx 'x': Permission denied";
  expect(parseSourcePage([denied, 'bytes '], 9, layout)).toEqual({ kind: 'unreadable', reason: denied });
});
