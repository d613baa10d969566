import { describe, expect, test } from 'vitest';
import type { PitrError } from '../../../../../src/errors.ts';
import { segmentName } from '../../../../../src/postgres/wal-name.ts';
import type { FailoverFacts } from '../../../../../src/standby/actions/failover/facts.ts';
import { planFailover } from '../../../../../src/standby/actions/failover/plan.ts';
import { type FailoverRun, newRun } from '../../../../../src/standby/actions/failover/run.ts';
import { type FailoverStep, failoverSteps } from '../../../../../src/standby/actions/failover/steps.ts';
import type { StandbyDeps } from '../../../../../src/standby/deps.ts';
import { nobodyAsked } from '../../../../../src/standby/siblings/observe.ts';
import { type Force, type ForceName, fullForce, noForce } from '../../../../../src/standby/steps/force.ts';
import { bindSteps } from '../../../../../src/standby/steps/step-table.ts';
import { answering } from '../../siblings/sibling-kit.ts';
import {
  alone,
  archive,
  configuration,
  controlFile,
  dataDirectory,
  label,
  localFacts,
} from '../../standby-facts.ts';

function facts(major: string, changes: Partial<FailoverFacts> = {}): FailoverFacts {
  const liveness = { kind: 'unreachable', reason: 'x' } as const;
  return { ...localFacts(major), ...alone, liveness, force: noForce, ...changes };
}

/** Where the role is recorded is tested by itself. */
const stepsOf = (input: FailoverFacts) => planFailover(input).filter(({ kind }) => kind !== 'record-role');
const kinds = (input: FailoverFacts) => stepsOf(input).map(({ kind }) => kind);
const after = [
  'set-aside-last-segment',
  'verify-write',
  'record-opening',
  'mark-archive',
  'clear-settings',
  'declare-left',
  'save-streamed',
  'archive-history',
  'check-archiving',
  'verify-write',
  'record-promotion',
  'keep-streamed',
];
const stopped = { kind: 'stopped' } as const;
const backedUp = dataDirectory('15', { record: { settings: { mode: 'standby', names: [], file: 'x' } } });
const production = { kind: 'production', answers: true } as const;

describe('-F999 by its plan', () => {
  test.each(['9.5', '11', '15', '18'])('promotes a running standby (%s)', (major) => {
    expect(kinds(facts(major))).toEqual(['guard-replay', 'promote', 'see-it-open', ...after]);
  });

  test('leaves the slot that keeps streamed WAL, and copies that WAL to the archive at last', () => {
    const steps = planFailover(facts('15', { hasKeptSlot: true }));
    expect(steps.map(({ kind }) => kind)).not.toContain('remove-slot');
    expect(steps.at(-1)).toEqual({ kind: 'keep-streamed', redoLsn: 0x5000028n });
    expect(steps.map(({ kind }) => kind)).not.toContain('save-streamed');
    // The checkpoint of a server that is open lies behind the promotion.
    const open = facts('15', { state: production, directory: backedUp, hasKeptSlot: true });
    expect(planFailover(open).at(-1)).toEqual({ kind: 'keep-streamed', redoLsn: undefined });
  });

  test('makes the slots of the other standbys before the promotion, and gives up its own after it', () => {
    const name = 'pitrtools_for_c_0123456789ab';
    const own = { name: 'pitrtools_for_b_0123456789ab', host: 'a', port: 5432 };
    const siblings = { ...nobodyAsked, siblings: [answering('c', { streamSlot: name })] };
    const directory = dataDirectory('15', { record: { ...backedUp.record, ownSlots: [own] } });
    const input = facts('15', { siblings, directory });
    const steps = planFailover(input);
    const order = steps.map(({ kind }) => kind);
    expect(steps[0]).toEqual({ kind: 'make-slots', names: [name], conf: undefined });
    expect(order.indexOf('make-slots')).toBeLessThan(order.indexOf('record-role'));
    expect(steps.at(-2)).toEqual({ kind: 'leave-slots', slots: [own], isAsked: false });
    // A server that cannot be queried makes none, and neither does one that does not take the role.
    const silent = { kind: 'recovering', answers: false, progress: '' } as const;
    expect(kinds({ ...input, state: silent })).not.toContain('make-slots');
    const beside = facts('15', {
      siblings,
      directory,
      liveness: { kind: 'alive', by: 'x', answers: true },
      force: fullForce,
    });
    expect(kinds(beside)).not.toContain('make-slots');
    expect(planFailover(beside).at(-2)).toEqual({ kind: 'leave-slots', slots: [own], isAsked: true });
    // Neither does a primary give up its role that cannot be asked now.
    const unasked = facts('15', {
      siblings,
      directory,
      liveness: { kind: 'unasked', reason: 'x', check: 'x' },
      force: fullForce,
    });
    expect(planFailover(unasked).at(-2)).toEqual({ kind: 'leave-slots', slots: [own], isAsked: true });
    // An earlier run has ended within its action.
    const record = { ...directory.record, isActionBegun: true, takesRole: true };
    const late = facts('15', { state: production, directory: { ...directory, record } });
    expect(kinds(late)).toContain('leave-slots');
  });

  test('resumes a paused replay first, because 9.3 would wait forever', () => {
    expect(kinds(facts('9.5', { isPaused: true }))[0]).toBe('resume-replay');
  });

  test.each(['9.4', '15'])(
    'keeps the unfinished last segment of the old timeline from being archived before any other step (%s)',
    (major) => {
      const failoverConf = { files: [], configuration, mustRestart: true };
      const steps = kinds(facts(major, { failoverConf }));
      expect(steps.slice(steps.indexOf('see-it-open')).slice(0, 2)).toEqual([
        'see-it-open',
        'set-aside-last-segment',
      ]);
    },
  );

  test('waits until a server that can be queried has replayed the whole archive, and then promotes it', () => {
    const archivedEnd = { last: segmentName(1, 0, 8), segmentSize: 16 * 1024 * 1024, lsn: 0x8000100n };
    const see = { kind: 'see-archive-replayed', lsn: 0x8000100n, last: archivedEnd.last.text };
    const input = facts('15', { archivedEnd });
    expect(stepsOf(input).slice(0, 2)).toEqual([
      { ...see, isFirst: true },
      { kind: 'guard-replay', end: archivedEnd },
    ]);
    const delay = { kind: 'setting', value: '1h', own: undefined, isOurs: false } as const;
    const delayed = stepsOf({ ...input, delay, isPaused: true });
    expect(delayed.slice(0, 4)).toEqual([
      { kind: 'resume-replay' },
      { kind: 'drop-delay', delay },
      { ...see, isFirst: false },
      { kind: 'guard-replay', end: archivedEnd },
    ]);
    const stopped = { ...input, delay, state: { kind: 'stopped' } } as const;
    expect(stepsOf(stopped).slice(3, 6)).toEqual([
      expect.objectContaining({ kind: 'prove-login' }),
      { kind: 'drop-delay', delay },
      { ...see, isFirst: false },
    ]);
    expect(kinds({ ...stopped, delay: { ...delay, own: '1h', isOurs: true } })).not.toContain('drop-delay');
    const ours = { ...delay, own: '1h', isOurs: true, hidden: delay };
    expect(stepsOf({ ...stopped, delay: ours })).toContainEqual({ kind: 'drop-delay', delay });
    const unheard = { ...input, delay, state: { kind: 'recovering', answers: false, progress: '' } } as const;
    expect(kinds(unheard)).not.toContain('drop-delay');
    const silent = { kind: 'recovering', answers: false, progress: '' } as const;
    for (const changes of [
      { state: silent },
      { force: fullForce },
      { delay: { kind: 'until-promotion' } as const },
      { archivedEnd: { ...archivedEnd, lsn: undefined } },
    ])
      expect(kinds({ ...input, ...changes } as FailoverFacts)[0]).toBe('guard-replay');
  });

  test.each(['8.4', '9.0'])(
    'restarts the server to recover to the end of the WAL if there is no pg_ctl promote (%s)',
    (major) => {
      expect(kinds(facts(major))).toEqual([
        'stop-server',
        'write-settings',
        'start-server',
        'see-it-open',
        ...after,
      ]);
    },
  );

  test('starts a cold standby as a standby without streaming, and promotes it', () => {
    const directory = dataDirectory('15', { backupLabel: label });
    const steps = stepsOf(facts('15', { state: stopped, directory }));
    expect(steps.map(({ kind }) => kind).slice(0, 7)).toEqual([
      'write-settings',
      'start-server',
      'see-it-recover',
      'prove-login',
      'guard-replay',
      'promote',
      'see-it-open',
    ]);
    const [write] = steps;
    expect(write?.kind === 'write-settings' && [...write.settings.parameters.keys()]).not.toContain(
      'primary_conninfo',
    );
  });

  test('puts the failover configuration into force, verifies after that, and runs action_failover last', () => {
    const failoverConf = { files: [], configuration, mustRestart: true };
    expect(kinds(facts('15', { failoverConf, action: 'true' })).slice(-10)).toEqual([
      'clear-settings',
      'declare-left',
      'save-streamed',
      'use-failover-conf',
      'archive-history',
      'check-archiving',
      'verify-write',
      'run-action',
      'record-promotion',
      'keep-streamed',
    ]);
  });

  test('raises settings to those in pg_control by a restart, if that is possible', () => {
    const lowLimits = [{ name: 'max_connections', here: 40, demanded: 60 }] as const;
    const input = facts('15', { isPaused: true, lowLimits, memory: { kind: 'enough' } });
    const steps = stepsOf(input);
    expect(steps.map(({ kind }) => kind).slice(0, 5)).toEqual([
      'stop-server',
      'write-settings',
      'raise-settings',
      'start-server',
      'see-it-recover',
    ]);
    const start = steps.find(({ kind }) => kind === 'start-server');
    expect(start?.kind === 'start-server' && start.configuration.parameters.get('max_connections')).toBe(
      '60',
    );
    expect(() => stepsOf({ ...input, hasOwnStart: true, force: fullForce })).toThrow(
      'max_connections is 40 here, and the primary has 60: start_command cannot',
    );
    const memory = { kind: 'too-little', reason: 'it would take 9 MB' } as const;
    expect(() => stepsOf({ ...input, memory })).toThrow('it would take 9 MB; nothing was changed');
  });

  test('repeats action_failover if it was begun and did not succeed, and nothing else', () => {
    const record = { promotedAtTimeline: 2, isActionBegun: true } as const;
    for (const more of [{}, { isFailoverUnfinished: true } as const]) {
      const directory = dataDirectory('15', { record: { ...record, ...more } });
      const input = facts('15', { state: production, directory, action: 'true' });
      expect(kinds(input)).toEqual(['verify-write', 'run-action', 'record-promotion', 'keep-streamed']);
      expect(stepsOf(input)[1]).toMatchObject({ isRepeated: true });
      expect(kinds({ ...input, action: undefined })).toEqual([
        'verify-write',
        'record-promotion',
        'keep-streamed',
      ]);
    }
  });

  test('refuses if the primary is alive, whatever else is true, unless forced', () => {
    const liveness = { kind: 'alive', by: 'psql there says: 1', answers: true } as const;
    expect(() => stepsOf(facts('15', { liveness, state: production }))).toThrow(
      'the primary is alive: psql there says: 1; nothing was changed',
    );
    expect(kinds(facts('15', { liveness, force: fullForce })).slice(0, 2)).toEqual([
      'guard-replay',
      'promote',
    ]);
  });

  test('refuses with all objections at once, and one --force=NAME overrules no other objection', () => {
    const input = facts('15', {
      liveness: { kind: 'alive', by: 'psql', answers: true },
      archive: { kind: 'unusable', reason: 'not mounted' },
      login: { kind: 'refused', reason: 'no line' },
    });
    const refused = (force: Force): string => {
      try {
        stepsOf({ ...input, force });
      } catch (error) {
        const { message, detail, hint } = error as PitrError;
        return [message, detail, hint].join('\n');
      }
      return '';
    };
    const named = (...names: ForceName[]): Force => ({ kind: 'named', names });
    expect(refused(noForce)).toMatch(
      /^the primary is alive: psql; nothing was changed\nalso:\n.*rejects our login.*--force=login[^]*--force=archive[^]*--force=primary-alive/,
    );
    expect(refused(named('primary-alive'))).toMatch(
      /^the server on this host rejects our login[^]*--force=archive/,
    );
    expect(refused(named('primary-alive', 'login'))).toMatch(/^the archive cannot be read: not mounted/);
    expect(refused(named('primary-alive', 'login', 'archive'))).toBe('');
  });

  test('refuses an archive that cannot be read, unless forced', () => {
    const unusable = { kind: 'unusable', reason: 'not mounted' } as const;
    expect(() => stepsOf(facts('15', { archive: unusable }))).toThrow(
      'the archive cannot be read: not mounted',
    );
    expect(kinds(facts('15', { archive: unusable, force: fullForce })).slice(0, 2)).toEqual([
      'lift-guard',
      'promote',
    ]);
  });

  test('completes a failover that an earlier run or a promotion by hand has begun', () => {
    const record = { settings: { mode: 'standby', names: [], file: 'x' } } as const;
    const directory = dataDirectory('15', { record });
    const opened = after.filter((kind) => kind !== 'save-streamed');
    expect(kinds(facts('15', { state: production, directory }))).toEqual(opened);
    const marked = { ...archive, sentinel: { ...archive.sentinel, promotedAtTimeline: 2 } };
    expect(kinds(facts('15', { state: production, archive: { kind: 'archive', archive: marked } }))).toEqual(
      opened,
    );
  });

  test('refuses a server whose failover was completed, and one that was never a standby', () => {
    const directory = dataDirectory('15', { record: { promotedAtTimeline: 2 } });
    expect(() => stepsOf(facts('15', { state: production, directory }))).toThrow(
      'failed over already, to timeline 2',
    );
    expect(() => stepsOf(facts('15', { state: production }))).toThrow('is not a standby');
  });

  const ended = dataDirectory('15', {
    record: { promotedAtTimeline: 2, isFailoverUnfinished: true },
    control: controlFile({ state: 'shut-down' }),
  });

  test('starts a server that ended before its failover was completed, and completes that', () => {
    const failoverConf = { files: [], configuration, mustRestart: true };
    const input = facts('15', { state: stopped, directory: ended, failoverConf });
    expect(kinds(input).slice(0, 3)).toEqual(['clear-settings', 'start-promoted', 'set-aside-last-segment']);
    const use = stepsOf(input).find(({ kind }) => kind === 'use-failover-conf');
    // It has just been started with it.
    expect(use).toMatchObject({ conf: { mustRestart: false } });
    expect(kinds({ ...input, state: production })[0]).toBe('set-aside-last-segment');
    const liveness = { kind: 'alive', by: 'x', answers: true } as const;
    expect(() => stepsOf({ ...input, liveness })).toThrow('the primary is alive');
  });

  test('checks after such a start that all WAL was replayed that was archived at the promotion, not later WAL', () => {
    const input = facts('15', { state: stopped, directory: ended, archivedEnd });
    expect(kinds(input)).not.toContain('see-all-replayed');
    expect(kinds({ ...input, state: production })).not.toContain('see-all-replayed');
    const guard = { pid: 1, end: { ...archivedEnd, segmentSize: 1 } };
    const steps = stepsOf({ ...input, guard, archivedEnd });
    expect(steps.find(({ kind }) => kind === 'see-all-replayed')).toMatchObject({ end: guard.end });
  });

  test('treats a data directory with a backup_label as a future standby, whatever its record contains', () => {
    const directory = { ...ended, backupLabel: label };
    expect(kinds(facts('15', { state: stopped, directory }))[0]).toBe('write-settings');
  });

  test('does not describe a server that is still stopping as starting', () => {
    const directory = dataDirectory('15', { control: controlFile({ state: 'shutting-down' }) });
    expect(() => stepsOf(facts('15', { directory, state: { kind: 'starting', progress: '' } }))).toThrow(
      'the server here is still stopping',
    );
  });

  test('refuses to start a server that is no standby, and to judge one that is still starting', () => {
    const directory = dataDirectory('15', { control: controlFile({ state: 'shut-down' }) });
    expect(() => stepsOf(facts('15', { state: stopped, directory }))).toThrow('holds no base backup');
    expect(() => stepsOf(facts('15', { state: { kind: 'starting', progress: '' } }))).toThrow(
      'still starting',
    );
  });

  const archivedEnd = { last: segmentName(1, 0, 8), segmentSize: 16 * 1024 * 1024 };
  const guard = { pid: 4711, end: archivedEnd };

  test('keeps the server from opening before the end of the archive, and checks that it did not', () => {
    const steps = stepsOf(facts('15', { archivedEnd, action: 'true' }));
    expect(steps[0]).toEqual({ kind: 'guard-replay', end: archivedEnd });
    const seen = steps.findIndex(({ kind }) => kind === 'see-all-replayed');
    expect(steps[seen]).toEqual({ kind: 'see-all-replayed', end: archivedEnd, isAccepted: false });
    expect(steps[seen - 1]?.kind).toBe('clear-settings');
    // Nothing can be said to a restore_command that ends the server by itself.
    expect(kinds(facts('9.0', { archivedEnd }))).toContain('see-all-replayed');
    expect(kinds(facts('9.0', { archivedEnd }))).not.toContain('guard-replay');
  });

  test('checks what the first run has recorded if it runs again, and continues without the check when forced', () => {
    const again = facts('15', { guard, archivedEnd: undefined, state: production, directory: backedUp });
    expect(stepsOf(again)).toContainEqual({
      kind: 'see-all-replayed',
      end: archivedEnd,
      isAccepted: false,
    });
    expect(stepsOf({ ...again, force: fullForce })).toContainEqual({
      kind: 'see-all-replayed',
      end: archivedEnd,
      isAccepted: true,
    });
    const ended = facts('15', { guard, archivedEnd, state: stopped });
    expect(kinds(ended)).toContain('guard-replay');
    expect(kinds({ ...ended, force: fullForce })).toContain('lift-guard');
    expect(kinds({ ...ended, force: fullForce })).not.toContain('guard-replay');
  });

  test('does not check for WAL that was known to be unreachable', () => {
    const gap = facts('15', { replayProblems: ['a gap'], force: fullForce });
    expect(kinds(gap).slice(0, 2)).toEqual(['lift-guard', 'promote']);
    expect(kinds(gap)).not.toContain('see-all-replayed');
  });

  const recovering = dataDirectory('15', {
    record: { settings: { mode: 'recovery', names: [], file: 'postgresql.auto.conf' } },
  });

  test('opens a recovery at the target where it is paused, whatever WAL the archive contains beyond', () => {
    const paused = facts('15', {
      isPaused: true,
      directory: recovering,
      archivedEnd,
      replayProblems: ['a gap'],
    });
    const others = after.filter((kind) => kind !== 'declare-left');
    expect(kinds(paused)).toEqual(['resume-replay', 'see-it-open', ...others]);
  });

  test.each([
    [stopped, 'its server is stopped'],
    [
      { kind: 'recovering', answers: true, progress: '' } as const,
      'recovering to a target that it has not reached yet',
    ],
  ])('does not replay past a requested target: %j', (state, reason) => {
    const input = facts('15', { directory: recovering, state });
    expect(() => stepsOf(input)).toThrow(reason);
    expect(stepsOf({ ...input, force: fullForce }).length).toBeGreaterThan(0);
  });

  test('removes the target first if it is forced past it, because a promotion would open there', () => {
    const forced = stepsOf(facts('15', { directory: recovering, force: fullForce }));
    expect(forced.map(({ kind }) => kind)).toEqual([
      'stop-server',
      'write-settings',
      'start-server',
      'see-it-recover',
      'prove-login',
      'guard-replay',
      'promote',
      'see-it-open',
      ...after,
    ]);
    expect(forced[1]).toMatchObject({ mode: 'standby', settings: { signal: 'standby.signal' } });
  });

  test('continues a killed failover before 9.1, where a failover is itself a recovery', () => {
    const directory = dataDirectory('9.0', { record: recovering.record });
    expect(kinds(facts('9.0', { directory, state: stopped })).slice(0, 2)).toEqual([
      'write-settings',
      'start-server',
    ]);
  });

  test('describes every step in one line', () => {
    const failoverConf = { files: [], configuration, mustRestart: false };
    const steps = [
      ...stepsOf(facts('8.4', { failoverConf, action: 'true' })),
      ...stepsOf(facts('15', { isPaused: true })),
      ...stepsOf(facts('15', { state: stopped, archivedEnd })),
      ...stepsOf(facts('15', { force: fullForce, replayProblems: ['a gap'] })),
      ...stepsOf(facts('15', { state: stopped, directory: ended })),
    ];
    const run = newRun({ settings: {} } as StandbyDeps, facts('15'));
    for (const step of bindSteps<FailoverStep, FailoverRun>(steps, failoverSteps, run))
      expect(step.say()).toMatch(/^[a-z].*[^.]$/);
  });
});
