import { describe, expect, test } from 'vitest';
import { describeOutcome, type Outcome } from '../../../../../src/standby/actions/failover/report.ts';

const known: Outcome = {
  timeline: 2,
  openedAt: 'LSN 0/5000110',
  replayed: { lsn: 0x5000110n, time: 1_795_628_408_123_456n },
  archiveEnd: { kind: 'reached', last: '000000010000000000000005' },
  liveness: { kind: 'dead', unsent: 3, warnings: [] },
  isFenced: false,
  archiving: { kind: 'command', ini: '/etc/cmd_archiver.ini' },
  others: undefined,
  hostName: 'beta',
  phases: [
    { name: 'probe', seconds: 3 },
    { name: 'start', seconds: 1.25 },
    { name: 'replay', seconds: 70 },
    { name: 'promotion', seconds: 0.5 },
    { name: 'completion', seconds: 0.25 },
    { name: 'action', seconds: 9 },
  ],
};

describe('the report of a failover', () => {
  test("names the server's new state, the end of replay, and the WAL that may remain elsewhere", () => {
    expect(describeOutcome(known).slice(0, 7)).toEqual([
      'This server is the primary now, on timeline 2, which begins at LSN 0/5000110',
      'Replayed to LSN 0/5000110; time of the last commit: 2026-11-25 17:40:08.123456+00',
      'All WAL in the archive was replayed, to segment 000000010000000000000005',
      'The old primary was found dead. It may hold WAL that was never shipped (3 files wait there): transactions in that WAL are missing here',
      'RTO: 1 min 12 s, counted as in a drill',
      'Phases: probe 3.0 s, start 1.3 s, replay 1 min 10 s, promotion 0.5 s, completion 0.3 s, action 9.0 s',
      'Next:',
    ]);
  });

  test('reports as unknown what could not be determined', () => {
    const lines = describeOutcome({
      ...known,
      timeline: undefined,
      openedAt: undefined,
      replayed: { lsn: undefined, time: undefined },
      archiveEnd: undefined,
      liveness: { kind: 'unreachable', reason: 'no answer' },
      archiving: undefined,
    });
    expect(lines.slice(0, 4)).toEqual([
      'This server is the primary now, on timeline (not determined)',
      'Replayed to a place that is not determined; time of the last commit: not determined',
      'Whether all WAL in the archive was replayed is not determined',
      'The old primary was not seen: whether it takes writes, and which WAL it never shipped, is not determined',
    ]);
    expect(lines.join('\n')).toContain('whether this server archives its WAL is not determined');
  });

  test.each([
    [{ kind: 'nothing' } as const, 'this server archives nothing. Set archive_mode = on'],
    [known.archiving, 'run: cmd_archiver -C /etc/cmd_archiver.ini -I'],
    [{ kind: 'command', ini: undefined } as const, 'by another program than cmd_archiver'],
  ])('contains the next commands for archiving: %o', (archiving, words) => {
    expect(describeOutcome({ ...known, archiving }).join('\n')).toContain(words);
  });

  test('states that there was nothing left to replay', () => {
    expect(describeOutcome({ ...known, archiveEnd: { kind: 'reached-before' } })).toContain(
      'All WAL in the archive had been replayed before',
    );
  });

  test('names a loss that was accepted with --force', () => {
    const archiveEnd = {
      kind: 'missed',
      reason: 'segment 000000010000000000000005 was not replayed',
    } as const;
    expect(describeOutcome({ ...known, archiveEnd })).toContain(
      'Not all WAL in the archive was replayed: segment 000000010000000000000005 was not replayed',
    );
  });

  test('counts no RTO if an earlier run has promoted the server', () => {
    const phases = [{ name: 'completion', seconds: 1 }];
    const lines = describeOutcome({ ...known, phases });
    expect(lines).toContain('Phases: completion 1.0 s');
    expect(lines.filter((line) => line.startsWith('RTO'))).toEqual([]);
  });
});
