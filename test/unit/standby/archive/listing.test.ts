import { expect, test } from 'vitest';
import { pathTo } from '../../../../src/postgres/timelines.ts';
import { parseWalName } from '../../../../src/postgres/wal-name.ts';
import { describeOthers, describeTimeline, listTimelines } from '../../../../src/standby/archive/listing.ts';
import { contents, found, layout, twoPromotions } from './contents-kit.ts';

test('an archive is listed by timeline, with gaps, damaged segments and segments of abandoned timelines', () => {
  const segments = ['1:3', '1:4', '1:7', found('1:8', 'it has 1 bytes'), '2:6', '3:8'];
  const here = contents(segments, twoPromotions);
  const lines = listTimelines(here, pathTo(3, here.histories, layout)).flatMap(describeTimeline);
  expect(lines).toEqual([
    'Timeline 1: 4 segments, 64 MB, LSN 0/3000000 to 0/9000000',
    '  000000010000000000000003 to 000000010000000000000004 (2)',
    '  missing: 000000010000000000000005 to 000000010000000000000006 (2)',
    '  000000010000000000000007 to 000000010000000000000008 (2)',
    '  unusable: 000000010000000000000008: it has 1 bytes',
    '  left behind: the newest timeline does not lead through the last 2 segments',
    'Timeline 2, from timeline 1 at 0/6000100: 1 segment, 16 MB, LSN 0/6000000 to 0/7000000',
    '  000000020000000000000006',
    'Timeline 3, from timeline 2 at 0/8000100: 1 segment, 16 MB, LSN 0/8000000 to 0/9000000',
    '  000000030000000000000008',
  ]);
});

test('the other files of an archive are named', () => {
  const partial = parseWalName('000000010000000000000006.partial');
  const backup = parseWalName('000000010000000000000003.00000028.backup');
  if (partial.kind !== 'partial' || backup.kind !== 'backup') throw new Error('names');
  const here = { ...contents([], twoPromotions), partials: [partial], backups: [backup] };
  expect(describeOthers({ ...here, badHistories: ['00000004.history: x'] })).toEqual([
    'History files of timelines: 2, 3',
    'History file that cannot be read: 00000004.history: x',
    'Unfinished end of a timeline, never replayed: 000000010000000000000006.partial',
    'Mark of a base backup: 000000010000000000000003.00000028.backup',
  ]);
});
