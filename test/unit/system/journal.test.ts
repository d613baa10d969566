import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, linkSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { callerText } from '../../../src/system/caller.ts';
import { appendToJournal, entryOf, journalBytes, readJournal } from '../../../src/system/journal.ts';
import { is } from '../../../src/system/json.ts';
import { temporaryDirectory } from './temporary.ts';

const at = '2026-11-28T10:00:00.000Z';
const kinds = { seen: { at: is.text, number: is.number } };
const read = (path: string) => readJournal(path, (value) => entryOf(kinds, value));
const seen = (number: number, filler = '') => ({ at, kind: 'seen', number, filler });

describe('a journal', () => {
  test('that does not exist is empty, and is closed to other users once it does', async () => {
    const path = join(temporaryDirectory(), 'journal');
    expect(await read(path)).toEqual({ entries: [], refused: [], isCut: false });
    await appendToJournal(path, [], at);
    expect(existsSync(path)).toBe(false);
    await appendToJournal(path, [seen(1)], at);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test('joins no entry to a torn line', async () => {
    const path = join(temporaryDirectory(), 'journal');
    await appendToJournal(path, [seen(1), seen(2)], at);
    appendFileSync(path, '{"at":"2026');
    await appendToJournal(path, [seen(3)], at);
    const { entries, refused } = await read(path);
    expect(entries.map(({ number }) => number)).toEqual([1, 2, 3]);
    expect(refused).toEqual([{ file: path, line: 3, reason: expect.any(String) as string }]);
  });

  test.each(['{}', 'null', '[]', '{"kind":"toString"}', '{"kind":"seen","number":"1"}', '\u0000'])(
    'refuses the line %j and shows the rest',
    async (line) => {
      const path = join(temporaryDirectory(), 'journal');
      writeFileSync(path, `${line}\n${JSON.stringify(seen(7))}\n`);
      expect(await read(path)).toMatchObject({ entries: [{ number: 7 }], refused: [{ line: 1 }] });
    },
  );

  test('that is set aside while it is read loses no entry to the reader', async () => {
    const path = join(temporaryDirectory(), 'journal');
    const pipe = `${path}.pipe`;
    execFileSync('sh', ['-c', 'mkfifo "$1"', 'sh', `${path}.1`]);
    linkSync(`${path}.1`, pipe);
    await appendToJournal(path, [seen(2)], at);
    const reading = read(path);
    // This waits for the reader of the pipe.
    const writer = await open(pipe, 'w');
    renameSync(path, `${path}.1`);
    await appendToJournal(path, [seen(3)], at);
    await writer.writeFile(`${JSON.stringify(seen(1))}\n`);
    await writer.close();
    expect((await reading).entries.map(({ number }) => number)).toEqual([2, 3]);
  });

  test('keeps the newest entries in two files, and says when older ones were removed', async () => {
    const path = join(temporaryDirectory(), 'journal');
    const filler = 'x'.repeat(10_000);
    const last: number[] = [];
    for (let number = 1; number <= 70; number++) {
      await appendToJournal(path, [seen(number, filler)], at);
      const { entries, isCut, refused } = await read(path);
      expect(refused).toEqual([]);
      expect(entries.at(-1)?.number).toBe(number);
      if (!isCut) expect(entries).toHaveLength(number);
      last.push(entries.length);
    }
    expect((await read(path)).isCut).toBe(true);
    expect(Math.max(...last)).toBeLessThan(60);
    expect(statSync(path).size + statSync(`${path}.1`).size).toBeLessThan(2 * journalBytes + 25_000);
  });
});

test('a caller is shown with the user behind sudo', () => {
  expect(callerText({ host: 'alpha', user: 'postgres' })).toBe('postgres@alpha');
  expect(callerText({ host: 'alpha', user: 'postgres', sudoUser: 'carol' })).toBe(
    'postgres@alpha (sudo: carol)',
  );
});
