import { describe, expect, test } from 'vitest';
import { chooseTarget, microsOf, type TargetBounds } from '../../../../src/standby/recover/target.ts';

const micros = (text: string) => microsOf(text) ?? 0n;

const bounds: TargetBounds = {
  notBefore: micros('2008-05-28 10:00:00+00'),
  replayed: undefined,
  now: micros('2008-05-30 00:00:00+00'),
  zone: 'America/Los_Angeles',
};

describe('the moment of -R', () => {
  test("is read in the primary's time zone and printed back with it", () => {
    const target = chooseTarget('2008-05-28 11:00:38.059389', bounds);
    expect(target.micros).toBe(micros('2008-05-28 18:00:38.059389+00'));
    expect(target.shown).toBe('2008-05-28 11:00:38.059389-07 (2008-05-28 18:00:38.059389+00 UTC)');
  });

  test.each([
    ['yesterday', /is not a timestamp/],
    ['2008-02-30 11:00:00', /does not exist/],
    ['2008-05-28 11:00:38 PDT', /is not clear/],
    ['2008-06-01 00:00:00', /lies in the future/],
    ['2008-05-28 02:59:59.999999', /lies before the end of the base backup/],
  ])('refuses %s', (text, reason) => {
    expect(() => chooseTarget(text, bounds)).toThrow(reason);
  });

  test('refuses what the standby has replayed past, to the microsecond', () => {
    const replayed = micros('2008-05-28 18:00:38.059390+00');
    expect(() => chooseTarget('2008-05-28 11:00:38.059389', { ...bounds, replayed })).toThrow(
      /replayed past/,
    );
    expect(chooseTarget('2008-05-28 11:00:38.059390', { ...bounds, replayed }).micros).toBe(replayed);
  });

  test('without a zone on record an offset must be given', () => {
    const blind = { ...bounds, zone: 'an unknown zone' };
    expect(() => chooseTarget('2008-05-28 11:00:38', blind)).toThrow(/add an offset/);
    expect(chooseTarget('2008-05-28 11:00:38+00', blind).shown).toContain('UTC');
  });
});
