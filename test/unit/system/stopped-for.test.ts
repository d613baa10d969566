import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readStoppedFor, recordFileName } from '../../../src/system/stopped-for.ts';
import { temporaryDirectory } from './temporary.ts';

test('the record of a data directory says for whom its server was stopped', async () => {
  const directory = temporaryDirectory();
  const write = (content: string) => writeFile(join(directory, recordFileName), content);
  expect(await readStoppedFor(directory)).toBeUndefined();
  await write('{"promotedAtTimeline": 2}\n');
  expect(await readStoppedFor(directory)).toBeUndefined();
  await write('{"stoppedFor": {"host": "b", "timeline": 1, "token": "aaaaaaa1"}, "backup": 1}\n');
  expect(await readStoppedFor(directory)).toEqual({ host: 'b', timeline: 1, token: 'aaaaaaa1' });
});

test('a record that cannot be understood is no answer', async () => {
  const directory = temporaryDirectory();
  for (const content of ['{', '{"stoppedFor": {"host": 1, "timeline": 1}}']) {
    await writeFile(join(directory, recordFileName), content);
    await expect(readStoppedFor(directory)).rejects.toThrow();
  }
});
