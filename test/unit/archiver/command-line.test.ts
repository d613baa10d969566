import { describe, expect, test } from 'vitest';
import { parseRequest } from '../../../src/archiver/command-line.ts';
import { parseSegmentCall } from '../../../src/archiver/segment-call.ts';

const parse = (...argv: string[]) => parseSegmentCall(argv) ?? parseRequest(argv);

describe('the command line of cmd_archiver', () => {
  test.each([
    [['-C', 'x.ini', '-F', 'pg_wal/1'], { kind: 'archive', iniFile: 'x.ini', path: 'pg_wal/1' }],
    [['-F', 'pg_wal/1', '-C', 'x.ini'], { kind: 'archive', iniFile: 'x.ini', path: 'pg_wal/1' }],
    [['-Cx.ini', '-Fpg_wal/1'], { kind: 'archive', iniFile: 'x.ini', path: 'pg_wal/1' }],
    [['-C', 'x.ini'], { kind: 'check', iniFile: 'x.ini' }],
    [['-C', 'x.ini', '-I'], { kind: 'initialize', iniFile: 'x.ini' }],
    [['-C', 'x.ini', '--flush'], { kind: 'flush', iniFile: 'x.ini', dryRun: false }],
    [['-C', 'x.ini', '--cleanup', '--dry-run'], { kind: 'cleanup', iniFile: 'x.ini', dryRun: true }],
    [['-C', 'x.ini', '--abandon', 's'], { kind: 'abandon', standby: 's', iniFile: 'x.ini', dryRun: false }],
    [['-C', 'x.ini', '--resume=s'], { kind: 'resume', standby: 's', iniFile: 'x.ini', dryRun: false }],
    [
      ['-C', 'x.ini', '--timeline-restored', '3', '--dry-run'],
      { kind: 'timeline-restored', timeline: 3, iniFile: 'x.ini', dryRun: true },
    ],
  ])('%j is read', (argv, request) => {
    expect(parse(...argv)).toEqual({ dryRun: false, ...request });
  });

  test.each([
    [['-I'], /no INI file is given/],
    [['-F', 'pg_wal/1'], /no INI file is given/],
    [['-C', 'x.ini', '-I', '-F', 'y'], /one action at a time, not -I and -F/],
    [['-C', 'x.ini', '--abandon', 'a', '--resume', 'b'], /one action at a time/],
    [['-C', 'x.ini', '-F', ''], /-F needs the path/],
    [['-C', 'x.ini', '-F', 'y', '--dry-run'], /--dry-run can be used only with/],
    [['-C', 'x.ini', '-F', 'y', 'z'], /too many arguments/],
    [['-C', 'x.ini', '--timeline-restored', '0x1'], /is no timeline/],
    [['-C', 'x.ini', '-X'], /unknown option/],
  ])('%j is a usage error', (argv, message) => {
    expect(() => parse(...argv)).toThrow(
      expect.objectContaining({ exitCode: 2, message: expect.stringMatching(message) as string }) as Error,
    );
  });
});
