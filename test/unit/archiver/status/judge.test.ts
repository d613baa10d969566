import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { ArchiverFacts, StandbyFacts } from '../../../../src/archiver/status/facts.ts';
import { judgeArchiver } from '../../../../src/archiver/status/judge.ts';
import { metricsOf } from '../../../../src/archiver/status/show.ts';
import { checkout } from '../../../harness/checkout.ts';
import { limits } from '../../status/limits-kit.ts';
import { backlog, lane, seen, standby, statistics, unknown, well } from './facts-kit.ts';

const context = {
  limits,
  command: 'cmd_archiver -C FILE',
  pgdata: '/data',
};

const found = (changes: Partial<ArchiverFacts>) =>
  judgeArchiver({ ...well, ...changes }, context).map(({ name, level }) => `${name} ${level}`);
const said = {
  timeline: 1,
  replayed: 1n,
  delayS: undefined,
  isBeingPromoted: false,
  disk: undefined,
};
const late = {
  application: 'b',
  address: '',
  hostname: '',
  state: 'streaming',
  sync: 'async',
  sent: 0x5000000n,
  replayed: 0x4000000n,
  replayLagS: 90,
};
const withStandby = (changes: Partial<StandbyFacts>) => found({ standbys: [{ ...standby, ...changes }] });

describe('cmd_archiver --status', () => {
  test('finds nothing where all is well', () => {
    expect(judgeArchiver(well, context)).toEqual([]);
  });

  test.each<[string, Partial<ArchiverFacts>, readonly string[]]>([
    ['a server that does not run', { isRunning: seen(false) }, ['server critical']],
    ['an INI file that is offline', { state: 'offline' }, ['offline critical']],
    ['no -I', { isInitialized: seen(false) }, ['initialized critical']],
    ['no shipper', { isShipping: seen(false) }, ['shipper warning']],
    ['WAL that is not archived', { waiting: seen(backlog(200, 30)) }, ['waiting warning']],
    ['much WAL that is not archived', { waiting: seen(backlog(2000, 300)) }, ['waiting critical']],
    ['a cluster that cannot be read', { cluster: unknown }, ['cluster unknown']],
    ['a shipper of which nothing is known', { isShipping: unknown }, ['shipper unknown']],
    ['a server that lets nobody in', { archiving: unknown }, ['archiving unknown']],
    [
      'another archive_command',
      { archiving: seen({ verdict: { kind: 'wrong', reason: 'r' }, command: '', statistics }) },
      ['archiving critical'],
    ],
    [
      'a full disk',
      { disks: [{ name: 'pg_wal', path: '/w', use: seen({ bytes: 100, freeBytes: 4 }), fullInS: unknown }] },
      ['disk critical'],
    ],
    [
      'a disk of which nothing is known',
      { disks: [{ name: 'pg_wal', path: '/w', use: unknown, fullInS: unknown }] },
      ['disk unknown'],
    ],
  ])('finds %s', (_, changes, findings) => {
    expect(found(changes)).toEqual(findings);
  });

  test.each<[string, Partial<StandbyFacts>, readonly string[]]>([
    ['one that cannot be reached', { state: lane('unreachable') }, ['standby warning']],
    ['one that takes no WAL and has no queue', { state: lane('unsafe') }, ['standby critical']],
    ['one that has diverged', { state: lane('diverged') }, ['standby critical']],
    ['one that was abandoned', { state: lane('abandoned') }, ['standby critical']],
    ['one whose state cannot be read', { state: unknown }, ['standby unknown']],
    ['a queue that grows', { queue: seen(backlog(500, 30)) }, ['queue warning']],
    ['a queue that cannot be read', { queue: unknown }, ['queue unknown']],
    [
      'a gap',
      {
        state: lane('ok', {
          missing: [{ first: 'a', last: 'b' }],
          conflicts: undefined,
          since: '2026-01-01',
        }),
      },
      ['gap critical'],
    ],
    [
      'one that streams, but does not replay',
      {
        stream: seen(late),
      },
      ['replay critical'],
    ],
  ])('finds a standby: %s', (_, changes, findings) => {
    expect(withStandby(changes)).toEqual(findings);
  });

  test.each<[string, number | undefined, number | undefined, readonly string[]]>([
    ['by its delay only is no finding', 3600, 90, []],
    ['by an unknown time, on purpose, is no finding', 3600, undefined, []],
    ['by more than its delay is a finding', 10, 90, ['replay critical']],
    ['without a delay is a finding', 0, 90, ['replay critical']],
    ['and does not say its delay is a finding', undefined, 90, ['replay critical']],
  ])('a standby that streams and is late %s', (_, delayS, replayLagS, expected) => {
    const live = seen({ ...said, server: 'recovering' as const, delayS });
    expect(withStandby({ stream: seen({ ...late, replayLagS }), live })).toEqual(expected);
  });

  test('where a standby was not asked, its delay is named as a possible reason', () => {
    const hintsWith = (live: StandbyFacts['live']) =>
      judgeArchiver({ ...well, standbys: [{ ...standby, stream: seen(late), live }] }, context).map(
        ({ hint }) => hint,
      );
    expect(hintsWith(seen(undefined))).toEqual([expect.stringContaining('delayed on purpose')]);
    expect(hintsWith(seen({ ...said, server: 'recovering', delayS: 0 }))).toEqual([
      expect.not.stringContaining('delayed'),
    ]);
  });

  test('a standby that is behind for a moment is no finding', () => {
    expect(withStandby({ state: lane('behind'), queue: seen(backlog(2000, 2)) })).toEqual([]);
  });

  test('a host in recovery archives nothing, and that is well', () => {
    const cluster = seen({ systemIdentifier: '1', timeline: 1, isInRecovery: true });
    expect(found({ cluster, archiving: unknown, waiting: unknown })).toEqual([]);
  });

  test('a standby that does not run is a finding, too', () => {
    const cluster = seen({ systemIdentifier: '1', timeline: 1, isInRecovery: true });
    expect(found({ cluster, isRunning: seen(false) })).toEqual(['server warning']);
    expect(found({ isRunning: unknown })).toEqual(['server unknown']);
  });

  test('every finding that is not unknown names the way out', () => {
    const all = judgeArchiver(
      {
        ...well,
        isRunning: seen(false),
        state: 'offline',
        isInitialized: seen(false),
        waiting: seen(backlog(2000, 300)),
        standbys: [{ ...standby, state: lane('foreign'), queue: seen(backlog(2000, 300)) }],
      },
      context,
    );
    expect(all.length).toBe(6);
    for (const { hint } of all) expect(hint).toMatch(/\.$|%p'$/);
  });

  test.each<[string, StandbyFacts['live'], readonly string[]]>([
    ['replays', seen({ ...said, server: 'recovering' }), []],
    ['is stopped', seen({ ...said, server: 'down' }), ['standby warning']],
    ['takes writes', seen({ ...said, server: 'production' }), ['standby critical']],
    ['does not answer', unknown, ['standby unknown']],
  ])('finds that a standby %s by its own word', (_, live, expected) => {
    expect(withStandby({ live })).toEqual(expected);
  });

  test.each<[string, Partial<StandbyFacts>, readonly string[]]>([
    ['is off', { clock: seen({ skewS: 300, withinS: 1 }) }, ['clock warning']],
    [
      'is off, though nothing else is known',
      { live: unknown, clock: seen({ skewS: 300, withinS: 1 }) },
      ['standby unknown', 'clock warning'],
    ],
    ['is not known', { live: seen({ ...said, server: 'recovering' }), clock: unknown }, ['clock unknown']],
    ['is not known, as all else', { live: unknown, clock: unknown }, ['standby unknown']],
    ['was not asked', { clock: seen(undefined) }, []],
  ])('finds whether the clock of a standby %s', (_, changes, expected) => {
    expect(withStandby(changes)).toEqual(expected);
  });
});

test('a standby with a gap has not all WAL, although it takes what comes', () => {
  const healthy = (state: StandbyFacts['state']) =>
    metricsOf({ ...well, standbys: [{ ...standby, state }] }).find(({ name }) => name === 'standby_healthy')
      ?.samples[0]?.value;
  const gap = {
    missing: [{ first: '1', last: '2' }],
    conflicts: undefined,
    since: '2026-11-28T10:00:00.000Z',
  };
  expect(healthy(lane('ok'))).toBe(1);
  expect(healthy(lane('ok', gap))).toBe(0);
});

test('doc/status.schema.json knows all that a standby says by --live', () => {
  const schema = readFileSync(checkout('doc', 'status.schema.json'), 'utf8');
  const live = schema.slice(schema.indexOf('"live": {'), schema.indexOf('"disks": {'));
  for (const name of Object.keys(said)) expect(live).toContain(`"${name}": {`);
});
