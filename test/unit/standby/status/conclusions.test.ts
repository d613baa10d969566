import { expect, test } from 'vitest';
import { nobodyAsked } from '../../../../src/standby/siblings/observe.ts';
import { failoverFacts } from '../../../../src/standby/status/conclusions.ts';
import type { Shown } from '../../../../src/standby/status/facts.ts';
import { answering } from '../siblings/sibling-kit.ts';

test('the most advanced standby is one of the same history', () => {
  const other = { name: 'b', furthest: 0x9000000n };
  const shown = { standbys: { kind: 'seen', value: [other], atMs: 0 } } as unknown as Shown;
  const { target } = answering('b');
  const mostAdvanced = (standing: object) => {
    const compared = [{ target, standing }];
    const siblings = { ...nobodyAsked, comparison: { ...nobodyAsked.comparison, compared } };
    const now = { objections: [], siblings } as unknown as Parameters<typeof failoverFacts>[0];
    return failoverFacts(now, shown, 0x5000000n).mostAdvanced?.name;
  };
  expect(mostAdvanced({ kind: 'ahead' })).toBe('b');
  expect(mostAdvanced({ kind: 'other-timeline', timeline: 2 })).toBe('this host');
  expect(mostAdvanced({ kind: 'rival' })).toBe('this host');
});
