import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readLeftMarks, writeLeftMarks } from '../../../src/system/left-marks.ts';
import { temporaryDirectory } from './temporary.ts';

const marks = [
  { timeline: 1, lsn: 0x5000060n, by: 'beta' },
  { timeline: 2, lsn: 0x1_00000000n, by: '10.0.0.3' },
];

test('the marks of a host are read back as they were written, and there are none without a file', async () => {
  const directory = temporaryDirectory();
  expect(await readLeftMarks(directory)).toEqual([]);
  await writeLeftMarks(directory, marks);
  expect(await readLeftMarks(directory)).toEqual(marks);
});

test('a line that is no mark is an error that names file and line', async () => {
  const directory = temporaryDirectory();
  await writeLeftMarks(directory, marks);
  writeFileSync(join(directory, '.archiver', 'left_timelines'), '1 0/5000060 beta\n2 nonsense\n');
  await expect(readLeftMarks(directory)).rejects.toThrow(/left_timelines/);
});
