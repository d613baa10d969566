import { describe, expect, test } from 'vitest';
import type { FollowFacts } from '../../../../src/standby/follow/facts.ts';
import { listFollowObjections } from '../../../../src/standby/follow/plan.ts';
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

describe('a server that was promoted earlier', () => {
  test('can become a standby if it was stopped for a switchover, though it has been in recovery since', () => {
    expect(stoppedAgain({ host: 'b', timeline: 2 }, true)).toEqual([]);
    expect(stoppedAgain({ host: 'b', timeline: 2 }, false)).toHaveLength(2);
    expect(stoppedAgain(undefined, true)).toHaveLength(2);
  });
});
