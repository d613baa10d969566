import { describe, expect, test } from 'vitest';
import { exitCodes, PitrError } from '../../../src/errors.ts';
import { parseRequest } from '../../../src/standby/command-line.ts';

function parse(...argv: string[]) {
  return parseRequest(['-C', 'f.ini', ...argv]);
}

function usageErrorOf(...argv: string[]): PitrError {
  try {
    parseRequest(argv);
  } catch (error) {
    if (error instanceof PitrError) return error;
    throw error;
  }
  throw new Error(`${argv.join(' ')} was accepted`);
}

const plainly = { exclusive: false, timeline: 'latest', action: 'promote' };

describe('the command line of cmd_standby', () => {
  test.each([
    [[], { kind: 'check' }],
    [['-I'], { kind: 'init' }],
    [['-P'], { kind: 'ping' }],
    [['-B'], { kind: 'base-backup' }],
    [['-S'], { kind: 'start-standby' }],
    [['-F999'], { kind: 'failover' }],
    [['-F', '999'], { kind: 'failover' }],
    [
      ['-F999', '-R', '2008-05-28 11:00:38.059389'],
      {
        kind: 'recover',
        target: { goal: { kind: 'time', text: '2008-05-28 11:00:38.059389' }, ...plainly },
      },
    ],
    [
      ['-F999', '--target-xid', '4711', '--target-exclusive', '--target-action', 'pause'],
      {
        kind: 'recover',
        target: { ...plainly, goal: { kind: 'xid', xid: 4711 }, exclusive: true, action: 'pause' },
      },
    ],
    [
      ['-F999', '--target-lsn', '1/25000020', '--target-timeline', '3'],
      { kind: 'recover', target: { ...plainly, goal: { kind: 'lsn', lsn: 0x1_2500_0020n }, timeline: 3 } },
    ],
    [
      ['-F999', '--target-immediate'],
      { kind: 'recover', target: { ...plainly, goal: { kind: 'immediate' } } },
    ],
    [
      ['--pause-before', '11:05'],
      {
        kind: 'recover',
        target: {
          ...plainly,
          goal: { kind: 'time', text: '11:05', mayLackDate: true },
          exclusive: true,
          action: 'pause',
        },
      },
    ],
    [['--wal'], { kind: 'wal' }],
    [['-Astart'], { kind: 'start' }],
    [['-A', 'stop'], { kind: 'stop' }],
    [['-Astart_basebackup'], { kind: 'start-basebackup' }],
    [['-Astop_basebackup'], { kind: 'stop-basebackup' }],
    [['--cleanup'], { kind: 'cleanup' }],
    [['--follow', 'hostb'], { kind: 'follow', address: { host: 'hostb', port: undefined } }],
    [['--follow', 'hostb:5433'], { kind: 'follow', address: { host: 'hostb', port: 5433 } }],
    [['--follow', '[fd00::1]:5433'], { kind: 'follow', address: { host: 'fd00::1', port: 5433 } }],
    [['--follow', 'fd00::1'], { kind: 'follow', address: { host: 'fd00::1', port: undefined } }],
    [['--rejoin'], { kind: 'rejoin', address: undefined }],
    [['--drill'], { kind: 'drill', target: undefined, deep: false, fromBackup: false }],
    [['--drill', '--deep'], { kind: 'drill', target: undefined, deep: true, fromBackup: false }],
    [['--drill', '--from-backup'], { kind: 'drill', target: undefined, deep: false, fromBackup: true }],
    [['--rejoin', 'hostb:1'], { kind: 'rejoin', address: { host: 'hostb', port: 1 } }],
  ])('%j is read', (argv, action) => {
    expect(parse(...argv)).toEqual({
      kind: 'run',
      iniFile: 'f.ini',
      action,
      dryRun: false,
      force: { kind: 'none' },
      takeRole: false,
      graceS: 0,
      verify: false,
      json: false,
    });
  });

  test('-B takes --dry-run and --force', () => {
    expect(parse('-B', '--dry-run', '--force')).toMatchObject({
      dryRun: true,
      force: { kind: 'all' },
    });
  });

  test.each([
    [[]],
    [['--status']],
    [['-S']],
    [['-A', 'start']],
    [['--rejoin']],
    [['--follow', 'hostb']],
    [['--cleanup']],
    [['--drill']],
    [['--patroni-pre-promote']],
  ])('%j refuses --force, which it would not ask', (argv) => {
    for (const force of ['--force', '--force=archive'])
      expect(usageErrorOf('-C', 'f.ini', ...argv, force)).toMatchObject({
        message: expect.stringMatching(/^--force can be used only with -I, -B, /) as string,
        exitCode: exitCodes.usage,
      });
  });

  test.each([
    [['-I']],
    [['-B']],
    [['-F999']],
    [['-F999', '-R', 'now']],
    [['--pause-before', '11:05']],
    [['--switchover']],
    [['-A', 'stop']],
    [['--drill', '--from-backup']],
  ])('%j takes --force', (argv) => {
    expect(parse(...argv, '--force')).toMatchObject({ force: { kind: 'all' } });
  });

  test.each([
    ['--patroni-pre-promote', ['--patroni-pre-promote']],
    ['--serve', ['--serve']],
    ['--serve', ['--serve', 'status']],
    ['--prometheus FILE', ['--status', '--prometheus', 'f']],
  ])('--dry-run cannot be used with %s, which would change something', (word, argv) => {
    expect(usageErrorOf('-C', 'f.ini', ...argv, '--dry-run').message).toBe(
      `--dry-run cannot be used with ${word}`,
    );
  });

  test.each([[['-P']], [['--status']], [['--status', '--prometheus']], [['--wal']]])(
    '%j takes --dry-run',
    (argv) => {
      expect(parse(...argv, '--dry-run')).toMatchObject({ dryRun: true });
    },
  );

  test('--warning must not be above --critical', () => {
    const argv = (...limits: string[]) => [
      '--status',
      '--warning',
      limits[0] ?? '',
      '--critical',
      limits[1] ?? '',
    ];
    expect(usageErrorOf('-C', 'f.ini', ...argv('1GB,3600', '64MB,300')).message).toBe(
      '--warning is above --critical, so nothing would ever be a warning',
    );
    expect(parse(...argv('1GB,300', '64MB,3600'))).toMatchObject({ action: { kind: 'status' } });
    expect(parse(...argv('1GB,300', '1GB,300'))).toMatchObject({ action: { kind: 'status' } });
  });

  test('--take-role goes with -F999, with and without a target', () => {
    expect(parse('-F999', '--take-role')).toMatchObject({ action: { kind: 'failover' }, takeRole: true });
    expect(parse('-F999', '--target-immediate', '--take-role')).toMatchObject({ takeRole: true });
    expect(() => parse('-S', '--take-role')).toThrow('--take-role needs -F999');
  });

  test('overrules by --force=NAMES what it names, and refuses an unknown name with a list of the known ones', () => {
    expect(parse('-F999', '--force=primary-alive,archive')).toMatchObject({
      force: { kind: 'named', names: ['primary-alive', 'archive'] },
    });
    const error = usageErrorOf('-C', 'f.ini', '-F999', '--force=primary-alive,archiv');
    expect(error.message).toBe('unknown name in --force: "archiv"');
    expect(error.hint).toMatch(/primary-alive, primary-unasked, fence, archive, replay/);
    expect(error.exitCode).toBe(exitCodes.usage);
    expect(usageErrorOf('-C', 'f.ini', '-F999', '--force=').message).toContain('unknown name');
    expect(usageErrorOf('-C', 'f.ini', '-F999', '--force=toString').message).toContain('unknown name');
  });

  test.each([
    [['-C', 'f.ini', '-B', '-S'], 'one action at a time, not -B and -S'],
    [['-C', 'f.ini', '-I', '-Astop'], 'one action at a time, not -I and -A stop'],
    [['-C', 'f.ini', '-Arestart'], 'unknown action -A restart'],
    [['-C', 'f.ini', '-F998'], '-F 998 is not -F 999'],
    [['-C', 'f.ini', '-FS'], '-F S is not -F 999'],
    [['-C', 'f.ini', '-R', 'now'], '-R needs -F999'],
    [['-C', 'f.ini', '-B', '-R', 'now'], '-R needs -F999'],
    [
      ['-C', 'f.ini', '-F999', '-R', 'now', '--target-xid', '5'],
      'one target at a time, not -R and --target-xid',
    ],
    [['-C', 'f.ini', '--target-name', 'x'], '--target-name needs -F999'],
    [['-C', 'f.ini', '-F999', '--target-action', 'pause'], '--target-action needs a target'],
    [
      ['-C', 'f.ini', '-F999', '--target-name', 'x', '--target-exclusive'],
      '--target-exclusive does not go with --target-name',
    ],
    [
      ['-C', 'f.ini', '-F999', '--target-immediate', '--target-exclusive'],
      '--target-exclusive does not go with --target-immediate',
    ],
    [['-C', 'f.ini', '-F999', '--target-xid', 'x'], "--target-xid: 'x' is not the number of a transaction"],
    [
      ['-C', 'f.ini', '-F999', '--target-lsn', '16'],
      "--target-lsn: '16' is not a location in the WAL such as 1/25000020",
    ],
    [
      ['-C', 'f.ini', '-F999', '--target-name', 'é'.repeat(32)],
      `--target-name: the name of a restore point has at most 63 bytes, and '${'é'.repeat(32)}' has 64`,
    ],
    [
      ['-C', 'f.ini', '-F999', '--target-immediate', '--target-timeline', '0'],
      "--target-timeline: '0' is not a timeline: a number, latest or current",
    ],
    [
      ['-C', 'f.ini', '-F999', '--target-immediate', '--target-action', 'open'],
      "--target-action: 'open' is not one of promote, pause, shutdown",
    ],
    [['-C', 'f.ini', '-X'], "unknown option '-X'"],
    [['-C', 'f.ini', '-F'], "option '-F, --failover <999>' argument missing"],
    [['-B'], 'no INI file is given, and there is no /etc/pitrtools/cmd_standby.ini'],
  ])('%j is refused', (argv, message) => {
    const error = usageErrorOf(...argv);
    expect(error.message).toBe(message);
    expect(error.exitCode).toBe(exitCodes.usage);
    expect(error.hint).toMatch(/\.$|…$|'$/);
  });

  test('refuses an argument that belongs to no option', () => {
    expect(usageErrorOf('-C', 'f.ini', '-B', 'now').message).toMatch(/too many arguments/);
  });
});

test.each(['-x', 'a b', 'a;b', 'hostb:0', 'hostb:99999', '[x', ''])('--follow=%s is refused', (word) => {
  expect(usageErrorOf('-C', 'f.ini', `--follow=${word}`).exitCode).toBe(exitCodes.usage);
});

test("--help needs none of Patroni's words", () => {
  expect(parseRequest(['--patroni-replica', '--help']).kind).toBe('show');
  expect(usageErrorOf('-C', 'f.ini', '--patroni-replica').message).toContain('needs --datadir');
});
