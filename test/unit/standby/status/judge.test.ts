import { describe, expect, test } from 'vitest';
import { metricsOf as archiverMetricsOf } from '../../../../src/archiver/status/show.ts';
import type { StandbyFacts } from '../../../../src/standby/status/facts.ts';
import { judgeStandby } from '../../../../src/standby/status/judge.ts';
import { metricsOf, sectionsOf } from '../../../../src/standby/status/show.ts';
import type { Fact } from '../../../../src/status/fact.ts';
import { well as archiverWell } from '../../archiver/status/facts-kit.ts';
import { limits } from '../../status/limits-kit.ts';

const atMs = 0;
const seen = <T>(value: T): Fact<T> => ({ kind: 'seen', value, atMs });
const unknown = { kind: 'unknown', reason: 'no answer', atMs } as const;
const day = 86_400;

const archive = {
  kind: 'archive',
  directory: '/a',
  segments: 3,
  bytes: 48,
  first: '1',
  last: '3',
  timeline: 1,
  end: 0x5000000n,
  lastAgeS: 5,
  waitingAgeS: undefined,
  missing: undefined,
  left: [],
  diverged: [],
} as const;

const alive = {
  found: 'alive',
  message: 'the primary is alive',
  timeline: 1,
  written: 0x5000100n,
  unsent: undefined,
} as const;

const primaryAlive = { name: 'primary-alive', message: 'it is alive', hint: 'Stop it.' };
const possible = { isPossible: true, objections: [primaryAlive], fetches: 0, mostAdvanced: undefined };
const loss = {
  reach: 0x5000000n,
  primaryEnd: 0x5000100n,
  knownAgeS: 0,
  perS: undefined,
  bytes: 10,
  seconds: 1,
  isAtMost: true,
};
const backup = {
  label: 'b',
  at: undefined,
  ageS: 9 * day,
  source: undefined,
  isUnused: false,
  verifiedAt: undefined,
  damaged: 0,
};
const other = {
  name: 'b',
  answer: 'answered',
  reason: undefined,
  server: 'recovering',
  timeline: 1,
  furthest: 0x5000000n,
  clock: seen({ skewS: -0.4, withinS: 0.1 }),
} as const;
const streaming = {
  status: 'streaming',
  sender: 'a',
  slot: undefined,
  primaryEnd: 0x5000100n,
  silentS: 1,
};

const well: StandbyFacts = {
  mode: seen('hot standby'),
  version: seen('18'),
  cluster: seen({ systemIdentifier: '1', timeline: 1 }),
  replayed: seen({ lsn: 0x5000000n, isExact: true, committedAt: undefined, committedAgeS: 3 }),
  received: seen(0x5000000n),
  receiver: seen(streaming),
  isPaused: seen(false),
  delayS: seen(0),
  lowSettings: seen([]),
  archiveLag: seen({ bytes: 0, seconds: 0 }),
  streamLag: seen({ bytes: 0, seconds: 0 }),
  archive: seen(archive),
  backup: seen(backup),
  drill: seen(undefined),
  backupDrill: seen(undefined),
  unfinished: seen([]),
  primary: seen(alive),
  primaryClock: seen({ skewS: 0.4, withinS: 0.1 }),
  standbys: seen([other]),
  failover: seen(possible),
  loss: seen(loss),
  disks: [{ name: 'pg_wal', path: '/w', use: seen({ bytes: 100, freeBytes: 90 }), fullInS: seen(Infinity) }],
};

const context = {
  limits: { ...limits, backup_warning_age: 7 * day },
  command: 'cmd_standby -C FILE',
  pgdata: '/data',
  wantsStream: true,
  wantedDelayS: 0,
};

const found = (changes: Partial<StandbyFacts>, wantedDelayS: number | undefined = 0) =>
  judgeStandby({ ...well, ...changes }, { ...context, wantedDelayS }).map(
    ({ name, level }) => `${name} ${level}`,
  );

/** By limits-kit.ts: a warning, and critical. */
const much = { bytes: 200, seconds: 30 };
const more = { bytes: 2000, seconds: 300 };

/** The record of a drill. */
const drilled = (result: 'passed' | 'failed') => ({
  result,
  endedAt: '2026-11-29T03:00:00.000Z',
  failure: undefined,
  passedAgeS: result === 'passed' ? 60 : undefined,
  rtoSeconds: undefined,
  rpoBytes: undefined,
  rpoSeconds: undefined,
});

describe('cmd_standby --status', () => {
  test('finds a failed drill of each kind, and counts none from a new base backup as one of this standby', () => {
    const words = (changes: Partial<StandbyFacts>) =>
      judgeStandby(
        { ...well, ...changes },
        { ...context, limits: { ...context.limits, drill_max_age: day } },
      ).map(({ message }) => message);
    expect(words({ drill: seen(drilled('passed')), backupDrill: seen(drilled('failed')) })).toEqual([
      'the last drill from a new base backup has failed: for an unknown reason',
    ]);
    expect(words({ backupDrill: seen(drilled('passed')) })).toEqual(['no drill has passed here yet']);
    expect(words({ drill: seen(drilled('passed')) })).toEqual([]);
  });

  test('finds nothing where all is well', () => {
    expect(judgeStandby(well, context)).toEqual([]);
  });

  test.each<[string, Partial<StandbyFacts>, readonly string[]]>([
    ['no cluster', { mode: seen('no data') }, ['cluster critical']],
    ['a standby that does not run', { mode: seen('stopped standby') }, ['server critical']],
    ['a former primary', { mode: seen('stopped') }, ['server critical']],
    ['a server of which nothing is known', { mode: unknown }, ['server unknown']],
    [
      'an interrupted switchover',
      { unfinished: seen([{ level: 'critical', message: 'm', hint: 'Finish it.' }]) },
      ['unfinished critical'],
    ],
    ['no stream', { receiver: seen(undefined) }, ['stream warning']],
    ['a stream that waits', { receiver: seen({ ...streaming, status: 'waiting' }) }, ['stream warning']],
    ['a stream of which nothing is known', { receiver: unknown }, ['stream unknown']],
    ['a paused replay', { isPaused: seen(true), streamLag: seen(more) }, ['paused warning']],
    [
      'settings that are too low, for which the replay waits',
      { isPaused: seen(true), lowSettings: seen([{ name: 'max_connections', here: 1, demanded: 2 }]) },
      ['settings critical'],
    ],
    ['a replay that is behind', { streamLag: seen(much), archiveLag: seen(much) }, ['replay warning']],
    ['a replay that is far behind', { archiveLag: seen(more) }, ['replay critical']],
    ['no archive', { archive: seen({ kind: 'unusable', reason: 'r' }) }, ['archive critical']],
    ['a gap', { archive: seen({ ...archive, missing: '2' }) }, ['gap critical']],
    [
      'a server that has diverged',
      { archive: seen({ ...archive, diverged: [{ timeline: 1, lsn: 1n, by: 'b' }] }) },
      ['diverged critical'],
    ],
    ['an old base backup', { backup: seen({ ...backup, isUnused: true }) }, ['backup warning']],
    ['damaged pages', { backup: seen({ ...backup, damaged: 2 }) }, ['damaged critical']],
    ['a dead primary', { primary: seen({ ...alive, found: 'dead' }) }, ['primary critical']],
    ['a standby in its place', { primary: seen({ ...alive, found: 'in-recovery' }) }, ['primary warning']],
    ['a fault of our network', { primary: seen({ ...alive, found: 'unasked' }) }, ['primary unknown']],
    [
      'a failover that is not possible',
      {
        failover: seen({
          ...possible,
          isPossible: false,
          objections: [primaryAlive, { name: 'login', message: 'no login', hint: 'h' }],
        }),
      },
      ['failover critical'],
    ],
    ['a failover of which nothing is known', { failover: unknown }, ['failover unknown']],
    ['WAL that is not here', { loss: seen({ ...loss, ...more }) }, ['behind critical']],
    ['a loss of which nothing is known', { loss: unknown }, ['behind unknown']],
    [
      'nothing but a dead primary',
      { loss: unknown, primary: seen({ ...alive, found: 'dead' }) },
      ['primary critical'],
    ],
    ['little WAL that is not here', { loss: seen({ ...loss, bytes: 50, seconds: 1e6 }) }, []],
    [
      'a standby that does not answer',
      { standbys: seen([{ ...other, answer: 'silent', reason: 'r' }]) },
      ['standby unknown'],
    ],
    [
      'a standby without an archive',
      { standbys: seen([{ ...other, answer: 'no-archive' }]) },
      ['standby warning'],
    ],
  ])('finds %s', (_, changes, expected) => {
    expect(found(changes)).toEqual(expected);
  });

  test.each<[string, number, Partial<StandbyFacts>, readonly string[]]>([
    ['is behind on purpose', 3600, { archiveLag: seen(more), delayS: seen(3600) }, []],
    ['is later than its delay', 250, { archiveLag: seen(more), delayS: seen(250) }, ['replay warning']],
    ['is delayed, and nobody has asked for it', 0, { delayS: seen(3600) }, ['delayed warning']],
    ['is not delayed, though that was asked for', 3600, { delayS: seen(0) }, ['delayed warning']],
    ['does not say whether it is delayed', 3600, { delayS: unknown }, []],
  ])('finds that the replay %s', (_, wantedDelayS, changes, expected) => {
    expect(found(changes, wantedDelayS)).toEqual(expected);
  });

  test.each<[string, Partial<StandbyFacts>, readonly string[]]>([
    ['the primary is ahead', { primaryClock: seen({ skewS: 300, withinS: 0.2 }) }, ['clock primary warning']],
    ['the primary was asked for long', { primaryClock: seen({ skewS: 12, withinS: 2.5 }) }, []],
    ['the primary cannot be asked', { primaryClock: unknown }, []],
    [
      'another standby is behind',
      { standbys: seen([{ ...other, clock: seen({ skewS: -300, withinS: 0.2 }) }]) },
      ['clock b warning'],
    ],
    [
      'another standby does not say its time',
      { standbys: seen([{ ...other, clock: unknown }]) },
      ['clock b unknown'],
    ],
  ])('compares clocks: %s', (_, changes, expected) => {
    const findings = judgeStandby({ ...well, ...changes }, context);
    expect(findings.map(({ name, about, level }) => `${name} ${about ?? ''} ${level}`)).toEqual(expected);
  });

  test('judges no standby where the server is the primary', () => {
    const changes = { primary: seen(undefined), failover: seen(undefined), loss: seen(undefined) };
    expect(found({ ...changes, mode: seen('primary'), receiver: unknown, archive: unknown })).toEqual([]);
    const silent = { ...other, answer: 'silent', reason: 'refused', clock: undefined } as const;
    for (const standbys of [unknown, seen([silent])])
      expect(found({ ...changes, mode: seen('primary'), standbys })).toEqual([]);
  });

  test('does not say that nothing is streamed where only the process of the receiver is seen', () => {
    const receiver = seen({ ...streaming, status: 'running' });
    expect(found({ receiver })).toEqual(['stream unknown']);
    const metric = metricsOf({ ...well, receiver }).find(({ name }) => name === 'streaming');
    expect(metric?.samples).toEqual([{ labels: {}, value: undefined }]);
  });

  test('shows what is not known as unknown, and gives it no number', () => {
    const facts = { ...well, loss: unknown, replayed: unknown, archive: unknown };
    const rows = sectionsOf(facts).flatMap((section) => section.rows);
    expect(rows).toContainEqual(['would be lost', 'unknown']);
    expect(rows).toContainEqual(['replayed to', 'unknown']);
    const metric = (name: string) => metricsOf(facts).find((one) => one.name === name)?.samples[0]?.value;
    expect(metric('failover_loss_bytes')).toBeUndefined();
    expect(metric('archive_gap')).toBeUndefined();
    expect(metric('failover_possible')).toBe(1);
  });

  // The rules PitrtoolsTwoPrimaries and PitrtoolsNoPrimary count the hosts of both programs.
  test('says of a promoted host that it takes writes, although its cmd_archiver writes no metrics', () => {
    const primary = (mode: StandbyFacts['mode']) =>
      metricsOf({ ...well, mode }).find(({ name }) => name === 'primary')?.samples;
    expect(primary(seen('primary'))).toEqual([{ labels: { cluster: '1' }, value: 1 }]);
    expect(primary(seen('hot standby'))).toEqual([{ labels: { cluster: '1' }, value: 0 }]);
    expect(primary(seen('starting'))).toEqual([]);
    expect(primary(unknown)).toEqual([]);
  });
});

// node_exporter refuses metrics of one name with different help texts, and one host may have the files of both programs.
test('a metric of both programs has one help text and one type', () => {
  const own = new Map(metricsOf(well).map(({ name, help, type }) => [name, { help, type }]));
  const both = archiverMetricsOf(archiverWell).filter(({ name }) => own.has(name));
  expect(both.map(({ name }) => name)).toContain('timeline');
  for (const { name, help, type } of both) expect([name, own.get(name)]).toEqual([name, { help, type }]);
});
