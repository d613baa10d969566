import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  formatSentinel,
  isStillThere,
  parseSentinel,
  readSentinel,
  writeSentinel,
} from '../../../src/system/sentinel.ts';
import { temporaryDirectory } from './temporary.ts';

const whole = {
  systemIdentifier: '7300000000000000001',
  standby: 'beta',
  primaryPgdata: '/srv/a: b',
  promotedAtTimeline: 4,
};

test('a sentinel is read back unchanged', async () => {
  const archivedir = temporaryDirectory();
  expect(await readSentinel(archivedir)).toBeUndefined();
  await writeSentinel(archivedir, whole);
  expect(await readSentinel(archivedir)).toEqual(whole);
});

test('a fact that was never known is absent from a sentinel', () => {
  const bare = { ...whole, primaryPgdata: undefined, promotedAtTimeline: undefined };
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

describe('a sentinel that was written', () => {
  test('is recognized only in the same directory, and only if no other process has written another one', async () => {
    const archive = join(temporaryDirectory(), 'archive');
    mkdirSync(archive);
    const sentinel = {
      systemIdentifier: '1',
      standby: 's',
      primaryPgdata: '/p',
      promotedAtTimeline: undefined,
    };
    const written = await writeSentinel(archive, sentinel);
    expect(await isStillThere(archive, written)).toBe(true);
    renameSync(archive, `${archive}.away`);
    expect(await isStillThere(archive, written)).toBe(false);
    mkdirSync(archive);
    await writeSentinel(archive, sentinel);
    expect(await isStillThere(archive, written)).toBe(false);
    rmSync(archive, { recursive: true });
    renameSync(`${archive}.away`, archive);
    expect(await isStillThere(archive, written)).toBe(true);
    await writeSentinel(archive, sentinel);
    expect(await isStillThere(archive, written)).toBe(false);
  });
});
