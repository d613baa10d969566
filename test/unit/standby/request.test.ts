import { describe, expect, test } from 'vitest';
import { exitCodes, PitrError } from '../../../src/errors.ts';
import { parseRequest } from '../../../src/standby/request.ts';

function parse(...argv: string[]) {
  return parseRequest(['-C', 'f.ini', ...argv], '9.9.9');
}

function usageErrorOf(...argv: string[]): PitrError {
  try {
    parseRequest(argv, '9.9.9');
  } catch (error) {
    if (error instanceof PitrError) return error;
    throw error;
  }
  throw new Error(`${argv.join(' ')} was accepted`);
}

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
      { kind: 'recover', timestamp: '2008-05-28 11:00:38.059389' },
    ],
    [['-Astart'], { kind: 'start' }],
    [['-A', 'stop'], { kind: 'stop' }],
    [['-Astart_basebackup'], { kind: 'start-basebackup' }],
    [['-Astop_basebackup'], { kind: 'stop-basebackup' }],
    [['--cleanup'], { kind: 'cleanup' }],
  ])('%j', (argv, action) => {
    expect(parse(...argv)).toEqual({ kind: 'run', iniFile: 'f.ini', action, dryRun: false, force: false });
  });

  test('--dry-run and --force go with an action', () => {
    expect(parse('-B', '--dry-run', '--force')).toMatchObject({ dryRun: true, force: true });
  });

  test.each([
    [['-C', 'f.ini', '-B', '-S'], 'one action at a time, not -B and -S'],
    [['-C', 'f.ini', '-I', '-Astop'], 'one action at a time, not -I and -A stop'],
    [['-C', 'f.ini', '-Arestart'], 'unknown action -A restart'],
    [['-C', 'f.ini', '-F998'], '-F 998 is not -F 999'],
    [['-C', 'f.ini', '-FS'], '-F S is not -F 999'],
    [['-C', 'f.ini', '-R', 'now'], '-R needs -F999'],
    [['-C', 'f.ini', '-B', '-R', 'now'], '-R needs -F999'],
    [['-C', 'f.ini', '-X'], "unknown option '-X'"],
    [['-C', 'f.ini', '-F'], "option '-F, --failover <999>' argument missing"],
    [['-B'], 'no INI file is given'],
  ])('%j is refused', (argv, message) => {
    const error = usageErrorOf(...argv);
    expect(error.message).toBe(message);
    expect(error.exitCode).toBe(exitCodes.usage);
    expect(error.hint).toMatch(/\.$|…$|'$/);
  });

  test('an argument that belongs to nothing is refused', () => {
    expect(usageErrorOf('-C', 'f.ini', '-B', 'now').message).toMatch(/too many arguments/);
  });

  test('help and version are shown, whatever else is missing', () => {
    expect(parseRequest(['--version'], '9.9.9')).toEqual({ kind: 'show', text: '9.9.9\n' });
    const help = parseRequest(['-h'], '9.9.9');
    expect(help).toMatchObject({ kind: 'show', text: expect.stringContaining('cmd_standby -C') as string });
  });
});
