import { describe, expect, test } from 'vitest';
import {
  addStatistics,
  parsePartialTransfer,
  parseProgress,
} from '../../../../../../src/standby/actions/base-backup/copy/rsync-output.ts';

describe('the progress that rsync reports', () => {
  test.each([
    ['       21364746  23%   19.57MB/s    0:00:03  ', { bytes: 21_364_746 }],
    [
      '     60,000,010  66%   19.72MB/s    0:00:02 (xfr#6, to-chk=1/8)',
      { bytes: 60_000_010, remaining: 1, total: 8 },
    ],
    [
      '              4   0%    1.95kB/s    0:00:00 (xfr#2, ir-chk=1005/1008)',
      { bytes: 4, remaining: 1005, total: 1008 },
    ],
  ])('is read from "%s"', (line, expected) => {
    expect(parseProgress(line)).toMatchObject(expected);
  });

  test.each(['base/1/1259', 'Number of files: 8 (reg: 7, dir: 1)', '', '90%'])(
    'is not read from "%s"',
    (line) => {
      expect(parseProgress(line)).toBeUndefined();
    },
  );
});

test('the statistics of several transfers are added up', () => {
  const lines = [
    'Literal data: 1,000 bytes',
    'Matched data: 5 bytes',
    'Total bytes received: 2.500',
    'Literal data: 20 bytes',
    'base/1/Literal data: 7',
  ];
  expect(lines.reduce(addStatistics, { literal: 0, received: 0 })).toEqual({ literal: 1020, received: 2500 });
});

test('the output of rsync about files that it did not transfer gives their names, or another reason', () => {
  const stderr = [
    'rsync: [sender] send_files failed to open "/data/base/1/2": Permission denied (13)',
    'rsync: [sender] link_stat "/data/base/1/t\\#303\\#244" failed: No such file or directory (2)',
    'file has vanished: "/data/base/1/3"',
    'IO error encountered -- skipping file deletion',
    'rsync error: some files/attrs were not transferred (see previous errors) (code 23) at main.c(1865)',
    '',
  ].join('\n');
  expect(parsePartialTransfer(stderr)).toEqual({
    paths: ['/data/base/1/2', '/data/base/1/tä', '/data/base/1/3'],
    modulePaths: [],
    others: ['IO error encountered -- skipping file deletion'],
  });
});
