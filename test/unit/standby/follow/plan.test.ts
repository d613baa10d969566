import { describe, expect, test } from 'vitest';
import { capabilitiesOf } from '../../../../src/postgres/capabilities.ts';
import { parseVersion } from '../../../../src/postgres/version.ts';
import type { FollowFacts } from '../../../../src/standby/follow/facts.ts';
import { listFollowObjections, planFollow } from '../../../../src/standby/follow/plan.ts';
import { archive, configuration, controlFile, dataDirectory } from '../standby-facts.ts';

/** The old primary of a switchover, which somebody has started as a standby and stopped again. */
function stoppedAgain(stoppedFor: { host: string; timeline: number } | undefined, mayBePrimary: boolean) {
  const record = { promotedAtTimeline: 2, stoppedFor };
  const start = {
    directory: dataDirectory('15', { control: controlFile({ state: 'shut-down-in-recovery' }), record }),
    archive: { ...archive, sentinel: { ...archive.sentinel, promotedAtTimeline: 2 } },
    configuration,
    lowLimits: [],
    streams: true,
  };
  const facts = {
    request: { address: { host: 'b', port: 5432 }, expected: undefined, mayBePrimary },
    answer: { kind: 'silent', error: new Error('b does not answer') },
    state: { kind: 'stopped' },
    ini: { kind: 'same' },
    start,
  };
  const objections = listFollowObjections(facts as unknown as FollowFacts, '/i');
  return objections.map(({ message }) => message).filter((message) => !message.includes('does not answer'));
}

/** Another server that this one is to follow. */
function primaryOn(timeline: number, history: readonly object[] = []) {
  const { systemIdentifier } = controlFile();
  const facts = { systemIdentifier, timeline, history, lsn: 0x8000000n, inRecovery: false };
  return { kind: 'host', isSelf: false, host: { facts } };
}

test('a standby for which WAL is nowhere does not follow, unless its history forbids that already', () => {
  const lacking = {
    first: '000000010000000000000004',
    last: '000000010000000000000004',
    count: 1,
    number: 4,
  };
  const objectionsAt = (lsn: bigint) => {
    const facts = {
      request: { address: { host: 'b', port: 5432 }, expected: undefined, mayBePrimary: false },
      answer: primaryOn(1),
      state: { kind: 'recovering', answers: true },
      own: { timeline: 1, lsn, isRecordStart: false, history: undefined },
      ini: { kind: 'same' },
      walToCome: { kind: 'lacking', lacking },
      start: {
        directory: dataDirectory('15', { control: controlFile() }),
        archive,
        configuration,
        streams: true,
      },
    };
    return listFollowObjections(facts as unknown as FollowFacts, '/i').map(({ message }) => message);
  };
  expect(objectionsAt(0x4000000n)).toEqual([
    expect.stringContaining(`is neither on b nor in archivedir here: ${lacking.first}`),
  ]);
  expect(objectionsAt(0x9000000n)).toEqual([expect.stringContaining('has no more than up to')]);
});

test.each([
  ['9.0', 2, true],
  ['9.0', 1, false],
  ['9.1', 2, false],
])(
  'a standby of %s that only reads its archive is started again on the way to timeline %i: %s',
  (version, timeline, isStarted) => {
    const server = capabilitiesOf(parseVersion(version));
    const facts = {
      request: { address: { host: 'b', port: 5432 }, expected: undefined, mayBePrimary: false },
      answer: primaryOn(
        timeline,
        timeline === 1 ? [] : [{ timeline: 1, end: { kind: 'lsn', lsn: 0x5000000n } }],
      ),
      state: { kind: 'recovering', answers: true },
      own: { timeline: 1, lsn: 0x4000000n, isRecordStart: false, history: undefined },
      ini: { kind: 'same' },
      walToCome: { kind: 'there' },
      findsTimelines: server.findsNewTimelines,
      start: {
        directory: dataDirectory(version, { control: controlFile() }),
        archive,
        configuration,
        streams: false,
        isDelayed: false,
        lowLimits: [],
        hasFirstSegment: true,
        leftSlots: [],
        keeping: { kind: 'none' },
      },
    };
    const steps = planFollow(facts as unknown as FollowFacts, '/i');
    const seen = steps.find(({ kind }) => kind === 'see-it-follow');
    expect(seen).toBeDefined();
    expect(seen !== undefined && 'restart' in seen).toBe(isStarted);
  },
);

describe('a server that was promoted earlier', () => {
  test('can become a standby if it was stopped for a switchover, though it has been in recovery since', () => {
    expect(stoppedAgain({ host: 'b', timeline: 2 }, true)).toEqual([]);
    expect(stoppedAgain({ host: 'b', timeline: 2 }, false)).toHaveLength(2);
    expect(stoppedAgain(undefined, true)).toHaveLength(2);
  });
});
