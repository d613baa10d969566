import { readFileSync } from 'node:fs';
import { format } from 'prettier';
import { describe, expect, test } from 'vitest';
import { parseRequest as parseArchiver } from '../../../src/archiver/command-line.ts';
import { parseSegmentCall } from '../../../src/archiver/segment-call.ts';
import { parseArchiverConfig } from '../../../src/config/load-archiver.ts';
import { parseStandbyConfig } from '../../../src/config/load-standby.ts';
import { parseRequest as parseStandby } from '../../../src/standby/command-line.ts';
import { checkout } from '../../harness/checkout.ts';

const textOf = (...path: string[]) => readFileSync(checkout(...path), 'utf8');
const page = textOf('doc', 'patroni.md');
const blocks = (language: string) =>
  [...page.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms'))].map(([, text = '']) => text);
const samples = [textOf('etc', 'patroni', 'patroni.yml'), ...blocks('yaml')];

/** What Patroni appends to the command of a key. */
const appended: Readonly<Record<string, readonly string[]>> = {
  command: [
    '--keep_data=True',
    '--scope=main',
    '--role=replica',
    '--datadir=/d',
    '--connstring=host=m1 port=5432',
  ],
  on_start: ['on_start', 'replica', 'main'],
  on_role_change: ['on_role_change', 'primary', 'main'],
};

/** The commands of ours in a sample, with their key, as Patroni would run them. */
function commandsIn(sample: string) {
  return [...sample.matchAll(/^ *#? *(\w+): (\S*\bcmd_(?:archiver|standby) .*)$/gm)].map(
    ([, key = '', command = '']) => ({
      key,
      words: [...command.trim().split(' '), ...(appended[key] ?? [])],
    }),
  );
}

function kindOf([program = '', ...args]: readonly string[]): string {
  // bin/cmd_standby reads this by itself: its words are counted.
  if (args[0] === '--restore') return args.length === 6 && args[1] === 'standby' ? 'restore' : 'wrong';
  const request = program.endsWith('cmd_archiver')
    ? (parseSegmentCall(args) ?? parseArchiver(args))
    : parseStandby(args);
  return request.kind === 'run' ? request.action.kind : request.kind;
}

describe('the samples for Patroni', () => {
  test.each(samples)('are YAML: sample %#', async (sample) => {
    expect(await format(sample, { parser: 'yaml' })).toContain('pitrtools');
  });

  test.each(samples)('call our programs with options that there are: sample %#', (sample) => {
    const commands = commandsIn(sample);
    const kinds = commands.map(({ key, words }) => [key, kindOf(words)]);
    expect(Object.fromEntries(kinds)).toEqual({
      archive_command: 'archive',
      restore_command: 'restore',
      command: 'patroni-replica',
      pre_promote: 'patroni-pre-promote',
      on_start: 'patroni-callback',
      on_role_change: 'patroni-callback',
    });
    // Patroni runs them without a shell.
    for (const { words } of commands) expect(words.join(' ')).not.toMatch(/['"&|;<>$\\*]/);
  });

  test('are INI files without a problem', () => {
    const [archiver = '', standby = ''] = blocks('ini');
    expect(parseArchiverConfig(archiver)).toMatchObject({ kind: 'ok' });
    expect(parseStandbyConfig(standby)).toMatchObject({ kind: 'ok' });
  });

  test('set each variable of etcd once', () => {
    const names = [...textOf('etc', 'patroni', 'etcd.conf').matchAll(/^(ETCD_\w+)="[^"]*"$/gm)].map(
      ([, name]) => name,
    );
    expect(names.length).toBeGreaterThan(8);
    expect(new Set(names).size).toBe(names.length);
  });
});
