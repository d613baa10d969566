import { Option } from 'commander';
import { describe, expect, test } from 'vitest';
import { usage as archiverUsage } from '../../src/archiver/usage.ts';
import { readArguments } from '../../src/arguments.ts';
import type { Usage } from '../../src/help.ts';
import { usage as standbyUsage } from '../../src/standby/usage.ts';

const usages: readonly [string, Usage][] = [
  ['cmd_archiver', archiverUsage],
  ['cmd_standby', standbyUsage],
];

describe.each(usages)('the command line of %s', (program, usage) => {
  const read = (...argv: string[]) => readArguments(usage, argv);

  test('contains each flag under the name that commander uses', () => {
    for (const [name, [, flags]] of Object.entries(usage.flags))
      expect(new Option(flags).attributeName()).toBe(name);
  });

  test('refuses a second value of an option that has one', () => {
    expect(() => read('-C', 'a.ini', '--config=b.ini')).toThrow(
      '--config is given twice, with "a.ini" and "b.ini"',
    );
    expect(() => read('-C', 'a.ini', '--prometheus', '--prometheus=f')).toThrow(
      '--prometheus is given twice, with no value and "f"',
    );
    expect(read('-C', 'a.ini', '-C', 'a.ini', '--json', '--json')).toMatchObject({ iniFile: 'a.ini' });
    expect(read('-C', 'a.ini', '--authorize', 'one', '--authorize', 'two')).toMatchObject({
      options: { authorize: ['one', 'two'] },
    });
  });

  test.each([['-h'], ['--help']])(
    'shows the short help for %s, even if something else is missing',
    (flag) => {
      expect(read(flag)).toMatchObject({
        kind: 'show',
        text: expect.stringMatching(`^Usage: ${program} -C FILE`) as string,
      });
    },
  );

  test('shows the version of package.json for --version', () => {
    expect(read('--version')).toMatchObject({
      kind: 'show',
      text: expect.stringMatching(/^\d+\.\d+\.\d+\S*\n$/) as string,
    });
  });

  test('refuses an unknown word after --help, and lists the known ones', () => {
    expect(() => read('--help', 'failover')).toThrow(
      expect.objectContaining({
        exitCode: 2,
        message: 'unknown word after --help: "failover"',
        hint: `${program} --help shows the options for each task, --help all every option.`,
      }) as Error,
    );
  });

  test('refuses an argument that belongs to no option, also beside --help', () => {
    const surplus = /too many arguments: "now" belongs to no option/;
    expect(() => read('-C', 'f.ini', 'now')).toThrow(surplus);
    expect(() => read('--help', 'all', 'now')).toThrow(surplus);
  });

  test('suggests the option that a mistyped one resembles', () => {
    expect(() => read('-C', 'f.ini', '--statsu')).toThrow(
      expect.objectContaining({
        message: "unknown option '--statsu'",
        hint: `Did you mean --status? ${program} --help shows the actions.`,
      }) as Error,
    );
  });

  test('must name the INI file', () => {
    expect(() => read('-I')).toThrow(
      expect.objectContaining({
        exitCode: 2,
        message: `no INI file is given, and there is no /etc/pitrtools/${program}.ini`,
        hint: `Add it: ${program} -C FILE …; ${program} --setup makes one.`,
      }) as Error,
    );
  });
});
