import { describe, expect, test } from 'vitest';
import { parseHistory } from '../../../../src/postgres/history.ts';
import { pathOf } from '../../../../src/standby/archive/replay-check.ts';
import { findRivals, followsPromotion, rivalryOf } from '../../../../src/standby/siblings/rivals.ts';
import { answering, own, sibling } from './sibling-kit.ts';

const { layout } = own([]).facts;

function path(text: string, timeline = 2) {
  return pathOf(timeline, new Map([[timeline, parseHistory(text, 'x')]]), layout);
}

const followed = path('1\t0/5000100\tno recovery target specified\n');
const first = pathOf(1, new Map(), layout);
const place = (timeline: number, lsn: string) => ({ timeline, lsn });

describe('a promotion', () => {
  test('is followed by a history that leaves the timeline at the same location, whatever the number', () => {
    const ancestry = [place(1, '0/5000100')];
    expect(followsPromotion(followed, { promotedTo: 2, ancestry })).toBe(true);
    expect(followsPromotion(followed, { promotedTo: 2, ancestry: [place(1, '0/5000200')] })).toBe(false);
    expect(followsPromotion(followed, { promotedTo: 3, ancestry })).toBe(false);
    expect(followsPromotion(first, { promotedTo: 2, ancestry })).toBe(false);
    const longer = path('1\t0/4000100\tx\n2\t0/5000100\tx\n', 3);
    expect(followsPromotion(longer, { promotedTo: 2, ancestry: [place(1, '0/4000100')] })).toBe(true);
    expect(followsPromotion(longer, { promotedTo: 3, ancestry: [place(2, '0/5000100')] })).toBe(true);
    expect(followsPromotion(longer, { promotedTo: 3, ancestry: [place(1, '0/5000100')] })).toBe(false);
  });

  test('is recognised by its number alone where no history names the location', () => {
    expect(followsPromotion(followed, { promotedTo: 2 })).toBe(true);
    expect(followsPromotion(path('1\t000000010000000000000005\tx\n'), { promotedTo: 2 })).toBe(true);
  });
});

describe('a rival', () => {
  const marked = (timeline: number, lsn: bigint) => ({ timeline, lsn, by: 'b' });

  test('is a standby whose server takes writes, in whatever history', () => {
    expect(rivalryOf({ server: 'production', promotedTo: 2 }, followed)).toEqual({
      kind: 'open',
      timeline: 2,
    });
    expect(rivalryOf({ server: 'production' }, undefined)).toEqual({ kind: 'open', timeline: undefined });
  });

  test('is not the dead primary that this host has followed', () => {
    const ancestry = [place(1, '0/5000100')];
    expect(rivalryOf({ server: 'down', promotedTo: 2, ancestry }, followed)).toBeUndefined();
    expect(rivalryOf({ server: 'down', promotedTo: 2, ancestry }, undefined)).toMatchObject({
      kind: 'promoted',
    });
  });

  test('is one that could not be asked, if its archive says that it was promoted', () => {
    const { answer } = answering('c', {}, 2);
    if (answer.kind !== 'answered') throw new Error('it answers');
    const mute = sibling('c', { kind: 'mute', sentinel: answer.sentinel, reason: 'x', hint: 'y' });
    expect(findRivals([mute], first, [])).toMatchObject([{ rivalry: { kind: 'promoted', timeline: 2 } }]);
    expect(findRivals([mute], followed, [])).toEqual([]);
  });

  test('is a promotion of which this host was informed and that it has not followed', () => {
    const mark = marked(1, 0x500_0100n);
    expect(findRivals([], first, [mark])).toEqual([{ target: undefined, mark }]);
    expect(findRivals([], followed, [mark])).toEqual([]);
    // It has followed another one, which left later.
    expect(findRivals([], followed, [marked(1, 0x500_0000n)])).toHaveLength(1);
    expect(findRivals([], followed, [marked(7, 0x500_0000n)])).toEqual([]);
  });
});
