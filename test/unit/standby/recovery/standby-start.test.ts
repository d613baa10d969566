import { describe, expect, test } from 'vitest';
import { recoverySettings } from '../../../../src/standby/recovery/settings.ts';
import { planStartStandby, type StartFacts } from '../../../../src/standby/recovery/standby-start.ts';
import { slot, slots } from '../slot/slots-there.ts';
import { archive, configuration, controlFile, dataDirectory, label, place } from '../standby-facts.ts';

const command = { program: '/p/bin/cmd_standby', iniFile: '/i' };
const named = { ...archive, sentinel: { ...archive.sentinel, command } };

function facts(changes: Partial<StartFacts> = {}): StartFacts {
  const directory = dataDirectory('15', { backupLabel: label });
  return {
    directory,
    postmaster: { kind: 'none' },
    archive: named,
    configuration,
    copies: [{ key: 'pg_conf', from: '/etc/x', to: '/d/postgresql.conf' }],
    settings: recoverySettings(directory.capabilities, { kind: 'standby', streaming: undefined }, place),
    streams: false,
    isDelayed: false,
    triggerFile: undefined,
    hasFirstSegment: true,
    lowLimits: [],
    keeping: { kind: 'not-needed' },
    hasKeptSlot: false,
    slot: { kind: 'none' },
    leftSlots: [],
    ...changes,
  };
}

const kinds = (input: StartFacts) => planStartStandby(input).map(({ kind }) => kind);

describe('-S', () => {
  test('prepares and starts the server, and waits until it recovers', () => {
    const steps = ['copy-conf', 'write-settings', 'start-server', 'see-it-recover'];
    expect(kinds(facts())).toEqual(steps);
    // Other hosts must know how to call cmd_standby here.
    expect(kinds(facts({ archive }))).toEqual(steps.toSpliced(1, 0, 'note-command'));
    expect(kinds(facts({ streams: true })).slice(-2)).toEqual(['see-it-recover', 'see-it-stream']);
  });

  test('removes the marks that an earlier promotion of this host left', () => {
    const directory = '/l';
    const steps = planStartStandby(facts({ ownMarks: directory }));
    expect(steps).toContainEqual({ kind: 'withdraw-marks', directory });
    const order = steps.map(({ kind }) => kind);
    expect(order.indexOf('withdraw-marks')).toBeLessThan(order.indexOf('start-server'));
  });

  test('keeps streamed WAL once it streams, and drops a slot that nothing would advance', () => {
    const slot = { kind: 'slot' } as const;
    expect(kinds(facts({ streams: true, keeping: slot, hasKeptSlot: true })).slice(-2)).toEqual([
      'see-it-stream',
      'keep-streamed',
    ]);
    const left = kinds(facts({ hasKeptSlot: true }));
    expect(left.indexOf('remove-slot')).toBeLessThan(left.indexOf('start-server'));
    expect(left).toContain('remove-slot');
    const notKept = { kind: 'not-kept', reason: 'x' } as const;
    expect(kinds(facts({ streams: true, keeping: notKept, hasKeptSlot: true }))).toContain('remove-slot');
  });

  test('makes its slot on the primary first, and drops those that it has left once it streams', () => {
    const left = { name: 'pitrtools_for_b_0123456789ab', host: 'old', port: 5432 };
    const asked = {
      kind: 'asked',
      name: 'pitrtools_for_b_0123456789ab',
      host: 'a',
      port: 5432,
      isUnlimited: false,
    } as const;
    const good = { ...asked, there: slots() } as const;
    const order = kinds(facts({ streams: true, slot: good, leftSlots: [left] }));
    expect(order[0]).toBe('make-slot');
    expect(order.slice(-2)).toEqual(['see-it-stream', 'drop-left-slots']);
    const record = { slotsForOthers: [{ name: 'pitrtools_for_c_0123456789ab', lsn: '0/3000028' }] };
    const directory = dataDirectory('15', { backupLabel: label, record });
    expect(kinds(facts({ directory })).slice(-2)).toEqual(['see-it-recover', 'drop-made-slots']);
    // A primary that does not answer keeps the standby from nothing.
    const silent = { kind: 'silent', name: asked.name, reason: 'x' } as const;
    expect(kinds(facts({ streams: true, slot: silent }))[0]).toBe('note-slot');
    const full = { ...asked, there: slots({ most: 1, slots: [slot({ name: 'other' })] }) } as const;
    expect(() => kinds(facts({ streams: true, slot: full }))).toThrow(/max_replication_slots is 1 on a/);
  });

  test.each(['in-archive-recovery', 'shut-down-in-recovery'] as const)(
    'continues with a standby that was %s',
    (state) => {
      expect(
        kinds(facts({ directory: dataDirectory('15', { control: controlFile({ state }) }) })),
      ).toHaveLength(4);
    },
  );

  test.each(['in-production', 'shut-down', 'in-crash-recovery', 'starting-up'] as const)(
    'refuses a data directory without a base backup whose server was %s',
    (state) => {
      const directory = dataDirectory('15', { control: controlFile({ state }) });
      expect(() => planStartStandby(facts({ directory }))).toThrow('holds no base backup');
    },
  );

  test('refuses a server that runs', () => {
    const postmaster = {
      kind: 'running',
      pid: 7,
      port: 5432,
      socketDirectory: undefined,
      listenAddress: undefined,
    } as const;
    expect(() => planStartStandby(facts({ postmaster }))).toThrow('is running already in "/d" (pid 7)');
  });

  test('refuses a server that was promoted, until a new base backup exists here', () => {
    const promoted = dataDirectory('15', { record: { promotedAtTimeline: 2 } });
    expect(() => planStartStandby(facts({ directory: promoted }))).toThrow('was promoted at timeline 2');
    expect(kinds(facts({ directory: { ...promoted, backupLabel: label } }))).toHaveLength(4);
  });

  test('asks for -F999 if a failover was not completed, and not for a new base backup', () => {
    const record = { promotedAtTimeline: 2, isFailoverUnfinished: true } as const;
    const directory = dataDirectory('15', { record, control: controlFile({ state: 'shut-down' }) });
    expect(() => planStartStandby(facts({ directory }))).toThrow(
      expect.objectContaining({ hint: expect.stringContaining('-F999 starts the server') as string }),
    );
  });

  test('refuses an archive that is marked as promoted', () => {
    const marked = { ...archive, sentinel: { ...archive.sentinel, promotedAtTimeline: 2 } };
    expect(() => planStartStandby(facts({ archive: marked }))).toThrow('is marked as promoted at timeline 2');
  });

  test('refuses a trigger file, which would promote the server at once', () => {
    expect(() => planStartStandby(facts({ triggerFile: '/t' }))).toThrow('the trigger file "/t" is there');
  });

  test('refuses a base backup whose WAL is missing (bug of the original: "base backup finished" while the WAL it needs is still on the primary)', () => {
    expect(() => planStartStandby(facts({ hasFirstSegment: false }))).toThrow('000000010000000000000003');
    const lowLimits = [{ name: 'max_connections', here: 40, demanded: 60 }] as const;
    expect(() => planStartStandby(facts({ lowLimits }))).toThrow(
      'max_connections is 40 here, and the primary has 60',
    );
    expect(kinds(facts({ hasFirstSegment: false, streams: true }))).toHaveLength(5);
  });

  test('refuses a data directory whose pg_control cannot be verified', () => {
    const directory = dataDirectory('15', { control: undefined, controlProblem: 'torn', backupLabel: label });
    expect(() => planStartStandby(facts({ directory }))).toThrow('cannot start on "/d"');
  });
});
