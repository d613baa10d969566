/** Facts of a primary of which all is well. */
import type { ArchiverFacts, LaneCondition, StandbyFacts } from '../../../../src/archiver/status/facts.ts';
import type { Fact } from '../../../../src/status/fact.ts';

const atMs = 0;
export const seen = <T>(value: T): Fact<T> => ({ kind: 'seen', value, atMs });
export const unknown = { kind: 'unknown', reason: 'no answer', atMs } as const;
const nothing = { files: 0, bytes: 0, oldest: undefined };
export const backlog = (bytes: number, ageS: number) => ({ files: 3, bytes, oldest: { name: 'seg', ageS } });

export const lane = (health: LaneCondition['health'], gap?: LaneCondition['gap']): StandbyFacts['state'] =>
  seen({ health, since: undefined, reason: undefined, abandoned: undefined, gap, isCaughtUp: true });

export const standby: StandbyFacts = {
  name: 'b',
  state: lane('ok'),
  queue: seen(nothing),
  stream: seen(undefined),
  live: seen(undefined),
  clock: seen(undefined),
};

export const statistics = {
  archived: 5,
  lastArchived: 'x',
  archivedAt: '1',
  failed: 0,
  lastFailed: '',
  failedAt: '',
};

export const well: ArchiverFacts = {
  state: 'online',
  cluster: seen({ systemIdentifier: '1', timeline: 1, isInRecovery: false }),
  version: seen('18'),
  isInitialized: seen(true),
  isRunning: seen(true),
  written: seen(0x5000000n),
  archiving: seen({
    verdict: {
      kind: 'call',
      call: { program: 'cmd_archiver', iniFile: '/etc/pitrtools/cmd_archiver.ini', passesSegment: true },
    },
    command: 'c',
    statistics,
  }),
  receivers: seen([]),
  waiting: seen(nothing),
  made: seen(0),
  isShipping: seen(true),
  standbys: [standby],
  disks: [{ name: 'pg_wal', path: '/w', use: seen({ bytes: 100, freeBytes: 90 }), fullInS: seen(Infinity) }],
};
