import { describe, expect, test } from 'vitest';
import {
  synchronousObjections,
  synchronousRemarks,
} from '../../../../../../src/standby/actions/failover/switchover/synchronous.ts';
import { beforeFacts, silentPrimary } from './before-facts.ts';

interface Given {
  readonly here?: string;
  readonly there?: string;
  /** Of the old primary; null if it will only read its archive. */
  readonly streamsAs?: string | null;
  readonly others?: readonly string[];
  /** Of the others, those whose servers do not run. */
  readonly stopped?: readonly string[];
  readonly streamingHere?: readonly string[];
}

function factsWith({
  here = '',
  there = '',
  streamsAs = 'a',
  others = [],
  stopped = [],
  streamingHere = [],
}: Given) {
  const follower = (name: string) => ({
    name,
    problems: [],
    limits: {},
    streamsAs: name,
    isLeftStopped: stopped.includes(name),
  });
  const named = streamsAs === null ? {} : { streamsAs };
  return beforeFacts({
    primary: { ...silentPrimary, ...named, synchronousStandbyNames: there },
    oldPrimary: { name: 'a', problems: [], limits: {}, ...named },
    others: others.map(follower),
    streamingHere,
    settings: new Map([['synchronous_standby_names', here]]),
  });
}

describe('commits after a switchover', () => {
  test.each<[string, Given]>([
    ['nobody is waited for', {}],
    ['the old primary is named', { here: 'A' }],
    ['anybody will do', { here: '*' }],
    ['another standby streams', { here: 'c', others: ['c'], streamsAs: null }],
    ['two of those named will stream', { here: 'ANY 2 (a, c, d)', others: ['c'] }],
    ['one streams from here already', { here: '2 (a, x)', streamingHere: ['x'] }],
  ])('return if %s', (_, given) => {
    expect(synchronousObjections(factsWith(given))).toEqual([]);
  });

  test.each<[string, Given, RegExp]>([
    ['nobody of that name streams', { here: 'nobody' }, /wait for 1 .*, and none of them will stream/],
    ['nobody streams at all', { here: '*', streamsAs: null }, /none of them will stream/],
    [
      'the only one is left stopped',
      { here: 'c', streamsAs: null, others: ['c'], stopped: ['c'] },
      /none of them will/,
    ],
    ['too few do', { here: 'FIRST 2 (a, c)' }, /wait for 2 .*, and only 1 \(a\) of them/],
    ['one standby is counted once', { here: '2 (*)', streamingHere: ['A'] }, /only 1 \(A\)/],
    ['the text is not understood', { here: '2 (a' }, /is not understood/],
  ])('do not if %s', (_, given, message) => {
    const objections = synchronousObjections(factsWith(given));
    expect(objections).toHaveLength(1);
    expect(objections[0]?.message).toMatch(message);
    expect(objections[0]?.hint).toContain("ALTER SYSTEM SET synchronous_standby_names = '…'");
  });

  test('wait until the standbys follow, which is said before', () => {
    const messages = (given: Given) => synchronousRemarks(factsWith(given)).map(({ message }) => message);
    expect(messages({ here: 'a', there: 'x' })).toEqual([
      "synchronous_standby_names = 'a' here: from the promotion on, each commit waits until 1 of these standbys streams from this host: a",
    ]);
    expect(messages({ here: 'ANY 2 (a, c, x)', others: ['c'], streamingHere: ['x'] })[0]).toMatch(
      /until 1 of these standbys streams from this host: a, c$/,
    );
    expect(messages({ here: 'x', streamingHere: ['x'] })).toEqual([]);
  });

  test('do not become less synchronous unsaid', () => {
    const messages = (given: Given) => synchronousRemarks(factsWith(given)).map(({ message }) => message);
    expect(messages({ there: 'x' })).toEqual([
      'the primary commits synchronously, and this host will not: synchronous_standby_names is empty here',
    ]);
    expect(messages({ there: '2 (b, c)', here: 'c', streamingHere: ['c'] })).toEqual([
      'a commit on the primary waits for 2 standbys, and on this host it will wait for 1',
    ]);
    expect(messages({})).toEqual([]);
  });
});
