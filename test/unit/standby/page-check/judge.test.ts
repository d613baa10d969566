import { describe, expect, test } from 'vitest';
import type { BadPage } from '../../../../src/standby/page-check/check-file.ts';
import {
  type BackupSpan,
  judge,
  judgeAlone,
  judgeByOther,
} from '../../../../src/standby/page-check/judge.ts';
import { parseRelationFile } from '../../../../src/standby/page-check/relation-files.ts';
import type { SourcePage } from '../../../../src/standby/page-check/source-pages.ts';

function badPage(name = '16384', lsn = 50n): BadPage {
  const file = parseRelationFile('base/5', name);
  if (file === undefined) throw new Error(name);
  return { file, block: 7, lsn, isPartial: false };
}

const live: BackupSpan = { startLsn: 100n, stopLsn: undefined, startS: 1000 };
const over: BackupSpan = { ...live, stopLsn: 200n };
type Page = Extract<SourcePage, { kind: 'page' }>;
const source = (changes: Partial<Page>): SourcePage => ({
  kind: 'page',
  state: 'good',
  lsn: 50n,
  changedS: 10,
  bornS: 5,
  ...changes,
});

describe('a page that fails its check in the copy', () => {
  test('and is good on a server that was not the source is damaged only if it is not from the backup', () => {
    const good = source({});
    expect(judgeByOther(badPage('1', 99n), good, over, 'the primary')).toEqual({ kind: 'bad-copy' });
    expect(judgeByOther(badPage('1', 150n), good, over, 'the primary')).toEqual({
      kind: 'unclear',
      reason: "the primary's page is good, but it was copied from another server",
    });
    expect(judgeByOther(badPage('1', 150n), source({ lsn: 150n }), over, 'it')).toEqual({ kind: 'wal' });
  });

  test.each<[string, SourcePage, BackupSpan, string]>([
    ['good at the source and not changed since: the copy is damaged', source({}), live, 'bad-copy'],
    ['the same in a file with other changes', source({ changedS: 1500 }), live, 'bad-copy'],
    ['the same where no birth is known', source({ changedS: 1500, bornS: undefined }), live, 'bad-copy'],
    ['changed since the start: torn', source({ lsn: 100n, changedS: 1500 }), live, 'wal'],
    ['its file was made since the start', source({ changedS: 1500, bornS: 1400 }), live, 'wal'],
    ['zeros at the source', source({ state: 'new', lsn: 0n }), live, 'bad-copy'],
    ['fails at the source, too', source({ state: 'bad', lsn: 150n }), live, 'bad-source'],
    ['its file is gone', { kind: 'gone' }, live, 'wal'],
    ['its file was truncated', { kind: 'beyond-end' }, live, 'wal'],
    ['the source cannot be read', { kind: 'unreadable', reason: 'denied' }, live, 'unclear'],
    ['after the backup: changed in it', source({ lsn: 200n }), over, 'wal'],
    ['after the backup: changed after it', source({ lsn: 201n }), over, 'unclear'],
    ['after the backup: the file is gone', { kind: 'gone' }, over, 'unclear'],
    ['after the backup: the file was truncated', { kind: 'beyond-end' }, over, 'unclear'],
    ['after the backup: not changed', source({}), over, 'bad-copy'],
  ])('is judged: %s', (_, found, span, kind) => {
    expect(judge(badPage(), found, span)).toMatchObject({ kind });
  });

  test('is made again by the server in a map that was just extended, and only there', () => {
    const extended = source({ lsn: 0n, changedS: 1500 });
    expect(judge(badPage('16384_fsm'), extended, live)).toEqual({ kind: 'wal' });
    expect(judge(badPage('16384_vm'), extended, live)).toEqual({ kind: 'wal' });
    expect(judge(badPage('16384'), extended, live)).toEqual({ kind: 'bad-copy' });
    expect(judge(badPage('16384_fsm'), source({ lsn: 0n }), live)).toEqual({ kind: 'bad-copy' });
  });

  test('is one that the server has changed without an LSN in a map, if the file was changed since the start', () => {
    const cleared = source({ changedS: 1500 });
    expect(judge(badPage('16384_vm'), cleared, live)).toEqual({ kind: 'wal' });
    expect(judge(badPage('16384_vm'), source({}), live)).toEqual({ kind: 'bad-copy' });
  });

  test('is judged without the primary only if it is not from the backup', () => {
    expect(judgeAlone(badPage('1', 100n), over)).toEqual({ kind: 'wal' });
    expect(judgeAlone(badPage('1', 99n), over)).toMatchObject({ kind: 'unclear' });
    expect(judgeAlone(badPage('1', 201n), over)).toMatchObject({ kind: 'unclear' });
    expect(judgeAlone(badPage('1', 150n), live)).toMatchObject({ kind: 'unclear' });
  });
});

test('only files of relations have pages', () => {
  expect(parseRelationFile('base/5', '2619_fsm.2')).toEqual({
    path: 'base/5/2619_fsm.2',
    fork: 'fsm',
    segment: 2,
  });
  expect(parseRelationFile('global', '1262')).toEqual({ path: 'global/1262', fork: 'main', segment: 0 });
  const others = [
    'pg_control',
    'PG_VERSION',
    'pg_filenode.map',
    'pg_internal.init',
    't3_16384',
    '1_x',
    '12.old',
  ];
  expect(others.filter((name) => parseRelationFile('global', name) !== undefined)).toEqual([]);
});
