import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { flags as archiverFlags } from '../../src/archiver/usage.ts';
import type { FlagTable } from '../../src/help.ts';
import { forceNames } from '../../src/standby/steps/force.ts';
import { flags as standbyFlags } from '../../src/standby/usage.ts';
import { checkout } from '../harness/checkout.ts';
import { run } from '../harness/processes.ts';

const page = readFileSync(checkout('doc', 'command-line.md'), 'utf8');

interface Program {
  readonly program: string;
  readonly flags: FlagTable;
  /** As they are typed. */
  readonly actions: readonly string[];
  readonly forces: readonly string[];
}

const programs: readonly Program[] = [
  {
    program: 'cmd_archiver',
    flags: archiverFlags,
    actions: ['-I', '-F', '--ship', '--flush', '--cleanup', '--abandon', '--resume'],
    forces: [],
  },
  {
    program: 'cmd_standby',
    flags: standbyFlags,
    actions: [
      ...['-I', '-P', '-B', '--verify', '--backup-info', '-S', '--wal', '--cleanup', '-F999', '-F999 -R'],
      ...['-A start', '-A stop', 'start_basebackup', 'stop_basebackup'],
    ],
    forces: Object.keys(forceNames),
  },
];

const shared = ['-C', '--config', '--dry-run', '--version', '-h', '--help'];

describe.each(programs)('$program --help', ({ program, flags, actions, forces }) => {
  const help = async (...args: string[]) => {
    const result = await run(checkout('bin', program), args);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    return result.stdout;
  };

  test('fits on one screen and is grouped by task', async () => {
    const short = await help('--help');
    expect(await help('-h')).toBe(short);
    const lines = short.trimEnd().split('\n');
    expect(lines.length).toBeLessThanOrEqual(24);
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(80);
    const groups = lines.filter((line) => /^[A-Z][a-z ]+:$/.test(line));
    expect(groups).toEqual(['Set up:', 'Run:', 'Look:', 'Change roles:', 'Recover:']);
  });

  test('names each action, and so does --help all', async () => {
    const both = `${await help('--help')}${await help('--help', 'all')}`;
    for (const action of actions) expect(both).toContain(action);
  });

  test('names each flag and each name of --force with --help all, and so does the documentation', async () => {
    const all = await help('--help', 'all');
    const names = Object.values(flags).flatMap(([task, text]) =>
      task === 'hidden' ? [] : text.split(/, | [<[]/).filter((word) => word.startsWith('-')),
    );
    for (const name of [...names, ...shared, ...forces])
      expect(all).toMatch(new RegExp(`(^|\\s)${name}(\\s|,|$)`, 'm'));
    expect(all).not.toContain('--restore');
    expect(page).toContain(`## ${program}\n\n\`\`\`\n${all}\`\`\`\n`);
    expect(page).toContain(`\`\`\`\n${await help('--help')}\`\`\`\n`);
  });

  test('reports another word after --help as a usage error, with the known words', async () => {
    const result = await run(checkout('bin', program), ['--help', 'failover']);
    expect(result).toMatchObject({ code: 2, stdout: '' });
    expect(result.stderr).toContain('unknown word after --help: "failover"');
    expect(result.stderr).toContain('--help all');
  });
});
