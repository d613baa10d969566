import { expect, test } from 'vitest';
import { formatSentinel, parseSentinel, readSentinel, writeSentinel } from '../../../src/system/sentinel.ts';
import { temporaryDirectory } from './temporary.ts';

const whole = {
  systemIdentifier: '7300000000000000001',
  standby: 'beta',
  primaryPgdata: '/srv/a: b',
  promotedAtTimeline: 4,
};

test('a sentinel is read back as it was written', async () => {
  const archivedir = temporaryDirectory();
  expect(await readSentinel(archivedir)).toBeUndefined();
  await writeSentinel(archivedir, whole);
  expect(await readSentinel(archivedir)).toEqual(whole);
});

test('what was never known is absent', () => {
  const bare = { ...whole, primaryPgdata: undefined, promotedAtTimeline: undefined };
  expect(parseSentinel(formatSentinel(bare))).toEqual(bare);
});

test.each(['', 'garbage', 'system_identifier: ', 'system_identifier: 12x'])('%j proves nothing', (text) => {
  expect(parseSentinel(text)).toBeUndefined();
});

test('a sentinel whose timeline is no number proves nothing', () => {
  expect(parseSentinel('system_identifier: 1\nstandby: s\npromoted_at_timeline: no\n')).toBeUndefined();
});
