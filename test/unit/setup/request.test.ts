import { describe, expect, test } from 'vitest';
import { parseRequest as archiver } from '../../../src/archiver/command-line.ts';
import { exitCodes } from '../../../src/errors.ts';
import { parseRequest as standby } from '../../../src/standby/command-line.ts';

const programs = { archiver, standby };

describe.each(['archiver', 'standby'] as const)('--setup of cmd_%s', (program) => {
  const parse = (...argv: string[]) => programs[program](['-C', 'f.ini', '--setup', ...argv]);

  test.each([
    ['--json'],
    ['--nagios'],
    ['--prometheus', 'f'],
    ['--watch'],
    ['--warning', '1MB,5'],
    ['--roles'],
  ])('refuses %s, which it does not read', (...argv) => {
    expect(() => parse(...argv)).toThrow(
      expect.objectContaining({
        message: `${argv[0]} cannot be used with --setup`,
        exitCode: exitCodes.usage,
      }) as Error,
    );
  });

  test('takes what is its own', () => {
    const all = ['--apply', '--cluster', '15/main', '--archive', '/a', '--systemd', '--dry-run'];
    expect(parse(...all)).toMatchObject({
      kind: 'setup',
      request: { apply: true, systemd: true, dryRun: true },
    });
  });
});

test.each([
  ['--plant', ['--plant', 'b']],
  ['--live', ['--live']],
  ['--digests', ['--digests']],
])('--setup of cmd_archiver refuses %s', (word, argv) => {
  expect(() => archiver(['-C', 'f.ini', '--setup', ...argv])).toThrow(`${word} cannot be used with --setup`);
});

test.each([
  ['--take-role', ['--take-role']],
  ['--grace', ['--grace', '5']],
  ['--deep', ['--deep']],
  ['--recover', ['-R', 'now']],
  ['--target-action', ['--target-action', 'pause']],
])('--setup of cmd_standby refuses %s', (word, argv) => {
  expect(() => standby(['-C', 'f.ini', '--setup', ...argv])).toThrow(`${word} cannot be used with --setup`);
});

test('--setup of cmd_standby passes --force on', () => {
  expect(standby(['-C', 'f.ini', '--setup', '--primary', 'a', '--force=crashed'])).toMatchObject({
    request: { force: 'crashed' },
  });
});
