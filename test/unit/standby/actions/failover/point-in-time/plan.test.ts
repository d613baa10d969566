import { describe, expect, test } from 'vitest';
import { PitrError } from '../../../../../../src/errors.ts';
import type { RecoveryFacts } from '../../../../../../src/standby/actions/failover/point-in-time/facts.ts';
import { planRecovery } from '../../../../../../src/standby/actions/failover/point-in-time/plan.ts';
import {
  type RecoveryRun,
  type RecoveryStep,
  recoverySteps,
} from '../../../../../../src/standby/actions/failover/point-in-time/steps.ts';
import { newRun } from '../../../../../../src/standby/actions/failover/run.ts';
import type { StandbyDeps } from '../../../../../../src/standby/deps.ts';
import type { RequestedTarget } from '../../../../../../src/standby/recovery/requested-target.ts';
import { fullForce, noForce } from '../../../../../../src/standby/steps/force.ts';
import { bindSteps } from '../../../../../../src/standby/steps/step-table.ts';
import { contents, found, twoPromotions } from '../../../archive/contents-kit.ts';
import { alone, dataDirectory, label, localFacts } from '../../../standby-facts.ts';

const stopped = { kind: 'stopped' } as const;
const coldBackup = (major: string) => dataDirectory(major, { backupLabel: label });

function target(changes: Partial<RequestedTarget> = {}): RequestedTarget {
  return {
    goal: { kind: 'name', name: 'x' },
    exclusive: false,
    timeline: 'latest',
    action: 'promote',
    ...changes,
  };
}

const walOf = (...given: Parameters<typeof contents>) =>
  ({ kind: 'contents', contents: contents(...given) }) as const;

function facts(changes: Partial<RecoveryFacts> = {}): RecoveryFacts {
  return {
    ...localFacts('15', { state: stopped, directory: coldBackup('15') }),
    ...alone,
    liveness: { kind: 'dead', unsent: undefined, warnings: [] },
    force: noForce,
    wal: walOf(['1:3', '1:4', '1:5']),
    bounds: {
      notBefore: undefined,
      notBeforeLsn: 0x300_0138n,
      replayed: undefined,
      replayedLsn: undefined,
      endedBeforeXid: undefined,
      now: 0n,
      lastCommit: undefined,
      zone: 'UTC',
    },
    hasXidEnded: false,
    isStreaming: false,
    isDelayed: false,
    isPauseLeft: false,
    walEnd: undefined,
    ...changes,
  };
}

function thrownBy(action: () => unknown): PitrError {
  try {
    action();
  } catch (error) {
    if (error instanceof PitrError) return error;
  }
  throw new Error('it was not refused');
}

const kinds = (input: RecoveryFacts, requested = target()) =>
  planRecovery(input, requested).steps.map(({ kind }) => kind);

describe('the plan of a recovery to a target', () => {
  test('recovers a cold standby, and stops a hot standby first', () => {
    const opening = ['write-settings', 'start-server', 'see-it-open', 'set-aside-last-segment'];
    expect(kinds(facts()).slice(0, 5)).toEqual(['record-role', ...opening]);
    const hot = facts({ state: { kind: 'recovering', answers: true, progress: '' } });
    const paused = ['record-role', 'pause-replay', 'see-it-before', 'stop-server'];
    expect(kinds(hot).slice(0, 8)).toEqual([...paused, ...opening]);
  });

  test('drops the slot of a standby once it is stopped: it would only fill pg_wal', () => {
    const hot = facts({ state: { kind: 'recovering', answers: true, progress: '' }, hasKeptSlot: true });
    expect(kinds(hot).slice(3, 6)).toEqual(['stop-server', 'remove-slot', 'write-settings']);
  });

  test('takes a delayed standby that streams, and refuses one of which the WAL ends before a time', () => {
    const running = { kind: 'recovering', answers: true, progress: '' } as const;
    const hot = facts({ state: running, isStreaming: true, isPaused: true });
    expect(() => kinds(hot)).toThrow('not possible on a streaming standby');
    const delayed = { ...hot, isDelayed: true };
    expect(kinds(delayed, target({ action: 'pause' }))[0]).toBe('see-it-before');
    // A pause that an earlier run has left is undone if this one fails, too.
    expect(kinds({ ...delayed, isPauseLeft: true }, target({ action: 'pause' }))[0]).toBe('pause-replay');
    const text = '2026-05-28 11:00:00+00';
    const time = target({ action: 'pause', exclusive: true, goal: { kind: 'time', text } });
    const bounds = { ...hot.bounds, now: 1_900_000_000_000_000n };
    const at = (walEnd: bigint, exclusive = true) =>
      kinds({ ...delayed, bounds, walEnd }, { ...time, exclusive });
    expect(at(1_779_966_000_000_000n)).toContain('see-it-paused');
    // Without the other one, the recovery would replay everything and not stop.
    expect(at(1_779_966_000_000_001n, false)).toContain('see-it-paused');
    expect(() => at(1_779_966_000_000_000n, false)).toThrow('the WAL here does not reach');
    const replayed = { ...delayed, bounds: { ...bounds, replayed: 1_779_966_000_000_000n } };
    expect(() => kinds(replayed, time)).toThrow('has replayed past 2026-05-28 11:00:00+00');
    expect(kinds(replayed, { ...time, exclusive: false })).toContain('see-it-paused');
    expect(() => at(1_779_965_999_999_999n)).toThrow('the WAL here does not reach 2026-05-28 11:00:00+00');
  });

  test('does not treat a server that pauses or ends at its target as a production server', () => {
    expect(kinds(facts(), target({ action: 'pause' }))).toEqual([
      'write-settings',
      'start-server',
      'see-it-paused',
    ]);
    expect(kinds(facts(), target({ action: 'shutdown' }))).toEqual([
      'write-settings',
      'start-server',
      'see-it-shut-down',
      'hold',
    ]);
  });

  test('describes every step in one line', () => {
    const run = { ...newRun({ settings: {} } as StandbyDeps, facts()), place: facts().place, shown: 'x' };
    const actions = ['promote', 'pause', 'shutdown'] as const;
    const steps = actions.flatMap((action) => planRecovery(facts(), target({ action })).steps);
    for (const step of bindSteps<RecoveryStep, RecoveryRun>(steps, recoverySteps, run))
      expect(step.say()).toMatch(/^[a-z].*[^.]$/);
  });

  test('refuses a living primary only if the server is to open', () => {
    const alive = facts({ liveness: { kind: 'alive', by: 'x', answers: true } });
    expect(() => kinds(alive)).toThrow('the primary is alive');
    expect(kinds(alive, target({ action: 'pause' }))).toContain('see-it-paused');
  });
});

const lsn = (at: bigint) => target({ goal: { kind: 'lsn', lsn: at } });

describe('the WAL that a recovery needs', () => {
  test('must reach beyond an LSN, exactly', () => {
    expect(() => kinds(facts(), lsn(0x600_0000n))).toThrow(
      'LSN 0/6000000 lies beyond the WAL that can be replayed, which ends at 0/6000000: 000000010000000000000005 is the last segment',
    );
    expect(kinds(facts(), lsn(0x5ff_ffffn))).toContain('see-it-open');
  });

  const gap = walOf(['1:3', '1:5']);

  test('may have a gap after an LSN, but not before it', () => {
    expect(kinds(facts({ wal: gap }), lsn(0x3ff_0000n))).toContain('see-it-open');
    expect(() => kinds(facts({ wal: gap, force: fullForce }), lsn(0x500_0000n))).toThrow(
      'which ends at 0/4000000: segment 000000010000000000000004 is missing',
    );
  });

  test.each([
    ['missing', gap, 'segment 000000010000000000000004 is missing'],
    ['spoilt', walOf(['1:3', found('1:4', 'it is of another cluster')]), 'cannot be replayed: it is of'],
  ])('may have a %s segment before other targets only with --force', (_, here, reason) => {
    expect(() => kinds(facts({ wal: here }))).toThrow(reason);
    expect(kinds(facts({ wal: here, force: fullForce }))).toContain('see-it-open');
  });

  test('need not reach further than the base backup for a target at the end of the base backup', () => {
    const immediate = target({ goal: { kind: 'immediate' } });
    expect(kinds(facts({ wal: gap }), immediate)).toContain('see-it-open');
    const short = facts({ wal: walOf(['1:4', '1:5']), force: fullForce });
    expect(() => kinds(short, immediate)).toThrow(
      'the base backup cannot become consistent: segment 000000010000000000000003 is missing',
    );
    expect(() => kinds(facts({ wal: walOf([]) }), immediate)).toThrow(
      'the WAL ends before segment 000000010000000000000003',
    );
  });
});

describe('the timeline of a recovery', () => {
  const here = walOf(['1:3', '1:4', '1:5', '1:6', '2:6', '2:7', '2:8', '3:8', '3:9'], twoPromotions);
  const to = (timeline: RequestedTarget['timeline'], at = 0x300_0200n) =>
    kinds(facts({ wal: here }), { ...lsn(at), timeline });

  test('determines which targets can be reached', () => {
    expect(to('latest', 0x900_0000n)).toContain('see-it-open');
    expect(to(2, 0x800_0000n)).toContain('see-it-open');
    expect(() => to('current', 0x700_0000n)).toThrow('which ends at 0/7000000');
    expect(() => to(2, 0x900_0000n)).toThrow('which ends at 0/9000000');
  });

  test('must be known, and must lead through the data here', () => {
    expect(() => to(4)).toThrow('there is no history file of timeline 4; nothing was changed');
    const late = facts({
      wal: here,
      bounds: { ...facts().bounds, notBeforeLsn: 0x600_0200n },
    });
    expect(() => kinds(late, { ...lsn(0x600_0300n), timeline: 2 })).toThrow(
      'the history of timeline 2 leaves timeline 1 at 0/6000100, but the data here has reached 0/6000200',
    );
    const other = facts({ wal: walOf([], { 4: '2\t0/4000000\tx\n' }) });
    expect(() => kinds(other, { ...lsn(0x300_0200n), timeline: 4 })).toThrow(
      'timeline 4 does not branch off timeline 1',
    );
    const spoilt = facts({
      wal: { ...here, contents: { ...here.contents, badHistories: ['00000002.history: x'] } },
    });
    expect(() => kinds(spoilt)).toThrow('a timeline history file cannot be used');
  });
});

describe('a recovery to a target is refused with any archive', () => {
  const unfit = (
    major: string,
    requested: Partial<RequestedTarget>,
    changes: Partial<RecoveryFacts> = {},
  ) => {
    const here = localFacts(major, { state: stopped, directory: coldBackup(major) });
    planRecovery(facts({ ...here, ...changes }), target({ goal: { kind: 'xid', xid: 5 }, ...requested }));
  };

  test.each([
    ['9.0', { goal: { kind: 'name', name: 'x' } }, 'PostgreSQL 9.0 cannot recover to a named restore point'],
    ['9.3', { goal: { kind: 'immediate' } }, 'PostgreSQL 9.3 cannot recover to the end of the base backup'],
    ['9.6', { goal: { kind: 'lsn', lsn: 1n } }, 'PostgreSQL 9.6 cannot recover to an LSN'],
    [
      '8.4',
      { goal: { kind: 'xid', xid: 5 }, action: 'pause' },
      'PostgreSQL 8.4 cannot pause at a recovery target',
    ],
    ['9.4', { action: 'shutdown' }, 'PostgreSQL 9.4 cannot shut down at a recovery target'],
    ['9.6', { action: 'pause' }, 'hot_standby is off'],
  ] as const)('on %s: $1.goal.kind $1.action', (major, requested, reason) => {
    expect(() => {
      unfit(major, requested);
    }).toThrow(reason);
  });

  test('only if the release lacks the ability', () => {
    unfit('8.4', { goal: { kind: 'xid', xid: 5 } });
    unfit('9.1', {});
    unfit('10', { goal: { kind: 'lsn', lsn: 0x300_0200n }, action: 'pause' });
  });

  test.each([
    [
      { state: { kind: 'recovering', answers: false, progress: '' } as const },
      'cannot be queried for the LSN',
    ],
    [{ state: { kind: 'production', answers: true } as const }, 'cannot be recovered to a target'],
    [{ state: { kind: 'starting', progress: '' } as const }, 'is still starting'],
  ])('%j', (changes, reason) => {
    expect(() => {
      unfit('15', {}, changes);
    }).toThrow(reason);
  });

  test('for a standby that streams, an archive that cannot be read, and all other objections at once', () => {
    const trouble = {
      isStreaming: true,
      wal: { kind: 'unusable', reason: 'it is not mounted' },
      liveness: { kind: 'alive', by: 'x', answers: true },
    } as const;
    const error = thrownBy(() => planRecovery(facts(trouble), lsn(0x200_0000n)));
    expect(error.message).toContain('use_streaming_replication is on; nothing was changed');
    expect(error.detail?.match(/^- .*/gm)).toEqual([
      expect.stringContaining('the primary is alive'),
      expect.stringContaining('the archive cannot be read: it is not mounted'),
      expect.stringContaining('LSN 0/2000000 lies before the end of the base backup'),
    ]);
  });

  test('without a judgement of the WAL for a server that is no standby', () => {
    const state = { kind: 'production', answers: true } as const;
    const error = thrownBy(() => planRecovery(facts({ state, wal: walOf([]) }), target()));
    expect(error.detail).toBeUndefined();
  });

  test('if the running standby has already replayed the end of the transaction', () => {
    const requested = target({ goal: { kind: 'xid', xid: 741 } });
    expect(() => planRecovery(facts({ hasXidEnded: true }), requested)).toThrow(
      'the standby has replayed past transaction 741 already',
    );
  });
});
