import { describe, expect, test } from 'vitest';
import {
  chooseTarget,
  isEarlierXid,
  microsOf,
  type TargetBounds,
} from '../../../../src/standby/recovery/target.ts';

const micros = (text: string) => microsOf(text) ?? 0n;

const bounds: TargetBounds = {
  notBefore: micros('2008-05-28 10:00:00+00'),
  notBeforeLsn: 0x300_0138n,
  replayed: undefined,
  replayedLsn: undefined,
  endedBeforeXid: 740,
  now: micros('2008-05-30 00:00:00+00'),
  lastCommit: undefined,
  zone: 'America/Los_Angeles',
};

const chooseTime = (text: string, within: TargetBounds) => chooseTarget({ kind: 'time', text }, within);
const microsIn = ({ goal }: ReturnType<typeof chooseTarget>) =>
  goal.kind === 'time' ? goal.micros : undefined;

describe('the time of -R', () => {
  test("is read in the primary's time zone and printed with it", () => {
    const target = chooseTime('2008-05-28 11:00:38.059389', bounds);
    expect(microsIn(target)).toBe(micros('2008-05-28 18:00:38.059389+00'));
    expect(target.shown).toBe('2008-05-28 11:00:38.059389-07 (2008-05-28 18:00:38.059389+00 UTC)');
  });

  test.each([
    ['yesterday', /is not a timestamp/],
    ['2008-02-30 11:00:00', /does not exist/],
    ['2008-05-28 11:00:38 PDT', /is not clear/],
    ['2008-06-01 00:00:00', /lies in the future/],
    ['2008-05-28 02:59:59.999999', /lies before the end of the base backup/],
  ])('refuses %s', (text, reason) => {
    expect(() => chooseTime(text, bounds)).toThrow(reason);
  });

  test("may be in the future of this host's clock if the WAL here has reached it", () => {
    const lastCommit = micros('2008-06-01 12:00:00+00');
    const latest = '2008-06-01 12:00:00+00';
    expect(microsIn(chooseTime(latest, { ...bounds, lastCommit }))).toBe(lastCommit);
    expect(() => chooseTime('2008-06-01 12:00:00.000001+00', { ...bounds, lastCommit })).toThrow(
      /in the future/,
    );
  });

  test('is refused if the standby has replayed past it, to the microsecond', () => {
    const replayed = micros('2008-05-28 18:00:38.059390+00');
    expect(() => chooseTime('2008-05-28 11:00:38.059389', { ...bounds, replayed })).toThrow(/replayed past/);
    expect(microsIn(chooseTime('2008-05-28 11:00:38.059390', { ...bounds, replayed }))).toBe(replayed);
  });

  test('is refused as a moment just before a commit that the standby has replayed', () => {
    const replayed = micros('2008-05-28 18:00:38.059390+00');
    const before = (text: string) => chooseTarget({ kind: 'time', text }, { ...bounds, replayed }, true);
    expect(() => before('2008-05-28 11:00:38.059390')).toThrow(/replayed past/);
    expect(microsIn(before('2008-05-28 11:00:38.059391'))).toBe(replayed + 1n);
  });

  test('must have an offset if no time zone is recorded', () => {
    const blind = { ...bounds, zone: 'an unknown zone' };
    expect(() => chooseTime('2008-05-28 11:00:38', blind)).toThrow(/add an offset/);
    expect(chooseTime('2008-05-28 11:00:38+00', blind).shown).toContain('UTC');
  });
});

describe('another recovery target', () => {
  test('by LSN lies after the base backup and after the replayed WAL', () => {
    const choose = (lsn: bigint, within = bounds) => chooseTarget({ kind: 'lsn', lsn }, within);
    expect(choose(0x300_0138n).shown).toBe('LSN 0/3000138');
    expect(() => choose(0x300_0137n)).toThrow('lies before the end of the base backup, 0/3000138');
    expect(() => choose(0x400_0000n, { ...bounds, replayedLsn: 0x400_0001n })).toThrow(
      'has replayed past LSN 0/4000000 already: up to 0/4000001',
    );
  });

  test('by transaction had not ended when the base backup was made', () => {
    const choose = (xid: number) => chooseTarget({ kind: 'xid', xid }, bounds);
    expect(choose(740).shown).toBe('transaction 740');
    expect(() => choose(739)).toThrow('transaction 739 has ended in what is here already');
  });

  test('by transaction uses numbers that wrap around, as in the server', () => {
    expect(isEarlierXid(739, 740)).toBe(true);
    expect(isEarlierXid(740, 740)).toBe(false);
    expect(isEarlierXid(4_294_967_290, 740)).toBe(true);
    expect(isEarlierXid(740, 4_294_967_290)).toBe(false);
  });

  test('by name or at the end of the base backup is accepted unchanged', () => {
    expect(chooseTarget({ kind: 'name', name: 'x' }, bounds).shown).toBe("restore point 'x'");
    expect(chooseTarget({ kind: 'immediate' }, bounds).goal).toEqual({ kind: 'immediate' });
  });
});
