import { expect, test } from 'vitest';
import { runCommand } from '../../../src/system/command.ts';
import { rsyncShellOption, shellQuote } from '../../../src/system/shell-quote.ts';

const words = [
  'plain',
  'two words',
  "it's",
  '"double"',
  'line\nfeed',
  '$HOME `id` $(id)',
  '-dash',
  '',
  '\\',
  '*?[a]',
  "'",
  '!history',
  '#no comment',
  'ümläut',
];

test.each(['sh', 'dash', 'bash'])('%s returns every quoted word unchanged', async (shell) => {
  const script = `printf '%s\\0' ${words.map(shellQuote).join(' ')}`;
  const result = await runCommand({ program: shell, args: ['-c', script] }, { limitMs: 60_000 });
  expect(result.stdout.split('\0').slice(0, -1)).toEqual(words);
});

test('a NUL byte, which no shell can pass on, is refused', () => {
  expect(() => shellQuote('a\0b')).toThrow('NUL');
});

test('rsync -e gets plain words unchanged, and quotes in other words doubled', () => {
  expect(rsyncShellOption(['ssh', '-o', 'A=b', '-i', "/my key's"])).toBe("ssh -o A=b -i '/my key''s'");
});
