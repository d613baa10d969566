import { describe, expect, test } from 'vitest';
import { formatInZone, formatUtc, parseTimestamp, withDate } from '../../../src/postgres/timestamp.ts';

describe('a timestamp', () => {
  test.each([
    ['2008-05-28 11:00:38.059389', 'UTC', '2008-05-28 11:00:38.059389+00'],
    ['2008-05-28 11:00:38.059389', 'Europe/Berlin', '2008-05-28 09:00:38.059389+00'],
    ['2008-01-28 11:00:38', 'Europe/Berlin', '2008-01-28 10:00:38+00'],
    ['2008-05-28T11:00', 'America/Los_Angeles', '2008-05-28 18:00:00+00'],
    ['2008-05-28 11:00:38.5', 'Asia/Kolkata', '2008-05-28 05:30:38.5+00'],
    ['2008-05-28 11:00:38', 'Japan', '2008-05-28 02:00:38+00'],
    ['2008-05-28 11:00:38+02', 'Asia/Tokyo', '2008-05-28 09:00:38+00'],
    ['2008-05-28 11:00:38 +02:00', 'Asia/Tokyo', '2008-05-28 09:00:38+00'],
    ['2008-05-28 11:00:38-0730', 'Asia/Tokyo', '2008-05-28 18:30:38+00'],
    ['2008-05-28 11:00:38Z', 'Asia/Tokyo', '2008-05-28 11:00:38+00'],
    ['2008-05-28 11:00:38 UTC', 'Asia/Tokyo', '2008-05-28 11:00:38+00'],
    ['2008-05-28 11:00:38 America/New_York', 'Asia/Tokyo', '2008-05-28 15:00:38+00'],
    ['2012-10-16 02:55:07.387709-07', 'UTC', '2012-10-16 09:55:07.387709+00'],
    ['2024-02-29 00:00:00', 'UTC', '2024-02-29 00:00:00+00'],
    ['  2024-02-29 00:00:00 ', 'Etc/UTC', '2024-02-29 00:00:00+00'],
    ['1969-12-31 23:59:59.999999', 'UTC', '1969-12-31 23:59:59.999999+00'],
  ])('%j in %s means %s', (text, zone, utc) => {
    expect(formatUtc(micros(text, zone))).toBe(utc);
  });

  test('is counted in microseconds', () => {
    expect(micros('1970-01-01 00:00:01.000001', 'UTC')).toBe(1_000_001n);
  });

  test.each([
    ['UTC', '2008-05-28 09:00:38.059389+00'],
    ['Europe/Berlin', '2008-05-28 11:00:38.059389+02'],
    ['America/St_Johns', '2008-05-28 06:30:38.059389-02:30'],
    ['Asia/Kolkata', '2008-05-28 14:30:38.059389+05:30'],
    ['localtime', '2008-05-28 09:00:38.059389+00'],
  ])('is printed in %s as %s and read back', (zone, text) => {
    const instant = micros('2008-05-28 09:00:38.059389Z', 'UTC');
    expect(formatInZone(instant, zone)).toBe(text);
    expect(micros(text, 'Asia/Tokyo')).toBe(instant);
  });
});

describe('a local time around a change of the clock', () => {
  test('is refused if it was skipped', () => {
    expect(parseTimestamp('2026-03-29 02:30:00', 'Europe/Berlin')).toEqual({
      kind: 'bad',
      reason:
        "in Europe/Berlin the clock never showed '2026-03-29 02:30:00': add an offset from UTC, such as +02",
    });
  });

  test('is refused if it occurred twice', () => {
    expect(parseTimestamp('2026-10-25 02:30:00', 'Europe/Berlin')).toMatchObject({
      kind: 'bad',
      reason: /twice/,
    });
    expect(parseTimestamp('2026-11-01 01:59:59.9', 'America/New_York')).toMatchObject({ reason: /twice/ });
    expect(parseTimestamp('2026-04-05 02:00:00', 'Australia/Sydney')).toMatchObject({ reason: /twice/ });
  });

  test('is clear with an offset', () => {
    expect(formatUtc(micros('2026-10-25 02:30:00+02', 'Europe/Berlin'))).toBe('2026-10-25 00:30:00+00');
    expect(formatUtc(micros('2026-10-25 02:30:00+01', 'Europe/Berlin'))).toBe('2026-10-25 01:30:00+00');
  });

  test.each([
    ['2026-03-29 01:59:59', '2026-03-29 00:59:59+00'],
    ['2026-03-29 03:00:00', '2026-03-29 01:00:00+00'],
    ['2026-10-25 01:59:59', '2026-10-24 23:59:59+00'],
    ['2026-10-25 03:00:00', '2026-10-25 02:00:00+00'],
  ])('%s, shortly before or after, is clear', (text, utc) => {
    expect(formatUtc(micros(text, 'Europe/Berlin'))).toBe(utc);
  });
});

test.each([
  '',
  'now',
  'yesterday',
  '2008-05-28',
  '28.05.2008 11:00',
  '2008-5-28 11:00',
  '2008-05-28 11',
  '2008-05-28 11:00:38.1234567',
  "2008-05-28 11:00:38'",
])('%j is not a timestamp', (text) => {
  expect(parseTimestamp(text, 'UTC')).toMatchObject({ kind: 'bad', reason: /is not a timestamp such as/ });
});

test.each([
  '2008-02-30 11:00:00',
  '2007-02-29 11:00:00',
  '2008-13-01 11:00:00',
  '2008-00-10 11:00:00',
  '2008-05-28 24:00:00',
  '2008-05-28 11:60:00',
  '2008-05-28 11:00:60',
])('%j does not exist', (text) => {
  expect(parseTimestamp(text, 'UTC')).toMatchObject({ kind: 'bad', reason: /does not exist/ });
});

test.each(['CEST', 'PDT', 'IST', 'EST', '+16', '+2', 'Mars/Olympus', 'nowhere at all'])(
  'the time zone %j is refused as unclear',
  (zone) => {
    expect(parseTimestamp(`2008-05-28 11:00:38 ${zone}`, 'UTC')).toMatchObject({
      kind: 'bad',
      reason: /add an offset/,
    });
  },
);

test.each(['localtime', 'posix/Europe/Berlin', '<+02>-02', 'FOO+3'])(
  "the server's time zone %j is not known here",
  (zone) => {
    expect(parseTimestamp('2008-05-28 11:00:38', zone)).toMatchObject({
      kind: 'bad',
      reason: /is not clear/,
    });
    expect(parseTimestamp('2008-05-28 11:00:38+02', zone)).toMatchObject({ kind: 'moment' });
  },
);

function micros(text: string, zone: string): bigint {
  const parsed = parseTimestamp(text, zone);
  if (parsed.kind === 'bad') throw new Error(parsed.reason);
  return parsed.micros;
}

describe('a time of day', () => {
  const now = micros('2026-05-28 11:04:30+00', 'UTC');
  test.each([
    ['11:04', 'UTC', '2026-05-28 11:04'],
    ['11:05', 'UTC', '2026-05-27 11:05'],
    ['13:04:30.000', 'Europe/Berlin', '2026-05-28 13:04:30.000'],
    ['23:00', 'Pacific/Auckland', '2026-05-28 23:00'],
    ['2026-05-01 11:00', 'UTC', '2026-05-01 11:00'],
    ['noon', 'UTC', 'noon'],
  ])('%s in %s gets the date of the last time that the clock showed it', (text, zone, expected) => {
    expect(withDate(text, now, zone)).toBe(expected);
  });
});
