import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runCommand } from '../../../src/system/command.ts';
import {
  formatSentinel,
  isStillThere,
  parseSentinel,
  readSentinel,
  updateSentinel,
} from '../../../src/system/sentinel.ts';
import { temporaryDirectory } from './temporary.ts';

const whole = {
  systemIdentifier: '7300000000000000001',
  standby: 'beta',
  primaryPgdata: '/srv/a: b',
  promotedAtTimeline: 4,
  command: { program: '/opt/pitrtools/bin/cmd_standby', iniFile: '/etc/it: s.ini' },
  left: [
    { timeline: 1, lsn: 0x1_a300b2f8n, by: 'alpha' },
    { timeline: 3, lsn: 0x2_00000000n, by: '10.0.0.3' },
  ],
  diverged: [{ timeline: 3, lsn: 0x2_00000000n, by: '10.0.0.3' }],
};

test('a sentinel is read back unchanged', async () => {
  const archivedir = temporaryDirectory();
  expect(await readSentinel(archivedir)).toBeUndefined();
  await updateSentinel(runCommand, archivedir, () => whole);
  expect(await readSentinel(archivedir)).toEqual(whole);
});

test('a fact that was never known is absent from a sentinel', () => {
  const bare = {
    ...whole,
    primaryPgdata: undefined,
    promotedAtTimeline: undefined,
    command: undefined,
    left: [],
    diverged: undefined,
  };
  expect(parseSentinel(formatSentinel(bare))).toEqual(bare);
});

test.each(['', 'garbage', 'system_identifier: ', 'system_identifier: 12x'])(
  '%j does not prove anything as a sentinel',
  (text) => {
    expect(parseSentinel(text)).toBeUndefined();
  },
);

test('a sentinel whose timeline is no number proves nothing', () => {
  expect(parseSentinel('system_identifier: 1\nstandby: s\npromoted_at_timeline: no\n')).toBeUndefined();
});

test.each(['1', '1 0/3000060', '0 0/3000060 a', '1 0/3000060 a b', '1 3000060 a', '1 0/3000060 $(id)'])(
  'a sentinel whose left timeline reads %j proves nothing',
  (mark) => {
    expect(parseSentinel(`system_identifier: 1\nstandby: s\nleft: ${mark}\n`)).toBeUndefined();
  },
);

test('a location past which the server has replayed forbids nothing: one that cannot be read is unknown', () => {
  const sentinel = parseSentinel('system_identifier: 1\nstandby: s\ndiverged: 1\n');
  expect(sentinel).toMatchObject({ systemIdentifier: '1', left: [] });
  expect(sentinel?.diverged).toBeUndefined();
});

test.each(['program: bin/cmd_standby\nini: /i', 'program: /p\x1b[2J\nini: /i', 'program: /p'])(
  'a sentinel with %j does not say how cmd_standby is called there',
  (lines) => {
    expect(parseSentinel(`system_identifier: 1\nstandby: s\n${lines}\n`)?.command).toBeUndefined();
  },
);

describe('a sentinel that was written', () => {
  test('is recognized only in the same directory, and only if no other process has written another one', async () => {
    const archive = join(temporaryDirectory(), 'archive');
    mkdirSync(archive);
    const sentinel = {
      systemIdentifier: '1',
      standby: 's',
      primaryPgdata: '/p',
      promotedAtTimeline: undefined,
      left: [],
    };
    const written = await updateSentinel(runCommand, archive, () => sentinel);
    expect(await isStillThere(archive, written)).toBe(true);
    renameSync(archive, `${archive}.away`);
    expect(await isStillThere(archive, written)).toBe(false);
    mkdirSync(archive);
    await updateSentinel(runCommand, archive, () => sentinel);
    expect(await isStillThere(archive, written)).toBe(false);
    rmSync(archive, { recursive: true });
    renameSync(`${archive}.away`, archive);
    expect(await isStillThere(archive, written)).toBe(true);
    await updateSentinel(runCommand, archive, () => sentinel);
    expect(await isStillThere(archive, written)).toBe(false);
  });
});

test('of two changes at the same time none is lost', async () => {
  const archive = temporaryDirectory();
  await updateSentinel(runCommand, archive, () => ({ ...whole, left: [] }));
  const marks = [1, 2, 3, 4].map((timeline) => ({ timeline, lsn: 0x5000060n, by: 'b' }));
  const add = (mark: (typeof marks)[number]) =>
    updateSentinel(runCommand, archive, (before) => {
      if (before === undefined) throw new Error('no sentinel');
      return { ...before, left: [...before.left, mark] };
    });
  await Promise.all(marks.map(add));
  const left = (await readSentinel(archive))?.left ?? [];
  expect([...left].sort((a, b) => a.timeline - b.timeline)).toEqual(marks);
});
