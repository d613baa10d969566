import { expect, test } from 'vitest';
import type {
  BeforeFacts,
  SwitchoverFacts,
} from '../../../../../../src/standby/actions/failover/switchover/facts.ts';
import {
  isStoppedForUs,
  listRemarks,
  mayBePromoted,
} from '../../../../../../src/standby/actions/failover/switchover/objections.ts';

interface Given {
  readonly logicalSlots?: readonly string[];
  readonly synced?: readonly string[];
  readonly there?: string;
  readonly here?: string;
}

/** The facts that the remarks are made from. */
function remarksOn({ logicalSlots = [], synced = [], there = '', here = '' }: Given): readonly string[] {
  const before = {
    primary: { logicalSlots, synchronousStandbyNames: there },
    syncedSlots: synced,
    settings: new Map([['synchronous_standby_names', here]]),
  };
  return listRemarks({ before } as unknown as SwitchoverFacts);
}

test('logical slots that were not synchronised are lost', () => {
  expect(remarksOn({ logicalSlots: ['a', 'b'], synced: ['a'] })).toEqual([
    'these logical replication slots of the primary do not exist here, and their subscribers lose their place: b',
  ]);
  expect(remarksOn({ logicalSlots: ['a'], synced: ['a'] })).toEqual([]);
});

test('a primary that commits synchronously does not become asynchronous unsaid', () => {
  expect(remarksOn({ there: 'x' })).toHaveLength(1);
  expect(remarksOn({ there: 'x', here: 'y' })).toEqual([]);
  expect(remarksOn({ here: 'y' })).toEqual([]);
});

test.each([
  ['stopped', 'us', true],
  ['starting', 'us', true],
  ['recovering', 'us', true],
  ['production', 'us', false],
  ['stopped', 'another', false],
  ['stopped', undefined, false],
])('a primary that is %s, and was stopped for %s, is ours to finish: %s', (server, stoppedFor, isOurs) => {
  const facts = { primary: { server, stoppedFor }, publicName: 'us' } as unknown as BeforeFacts;
  expect(isStoppedForUs(facts)).toBe(isOurs);
});

test.each([true, false])(
  'the old primary may be started again unless the server here was asked to open: %s',
  (isOpening) => {
    const before = {} as unknown as BeforeFacts;
    expect(mayBePromoted({ before, isOpening })).toBe(isOpening);
    expect(mayBePromoted({ before: undefined, isOpening })).toBe(true);
  },
);
