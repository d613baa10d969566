import { describe, expect, it } from 'vitest';
import { splitWords } from '../../../src/config/command-words.ts';

describe('splitting a command line into words', () => {
  it.each([
    ['', []],
    ['  ', []],
    ['ssh', ['ssh']],
    [' ssh  -p\t2222\n-v ', ['ssh', '-p', '2222', '-v']],
    [`-o 'ProxyCommand=nc %h %p'`, ['-o', 'ProxyCommand=nc %h %p']],
    [`-o"User Known"Hosts`, ['-oUser KnownHosts']],
    [`a\\ b`, ['a b']],
    [`"a\\"b" "c\\d"`, ['a"b', 'c\\d']],
    [`'' ""`, ['', '']],
    [`'$HOME' "$(id)" *`, ['$HOME', '$(id)', '*']],
    [`'a\\b'`, ['a\\b']],
  ])('splits %j', (text, words) => {
    expect(splitWords(text)).toEqual({ kind: 'words', words });
  });

  it.each([
    [`a 'b`, `has a ' that is never closed`],
    [`a "b\\"`, `has a " that is never closed`],
    ['a\\', 'ends in a backslash'],
  ])('refuses %j', (text, message) => {
    expect(splitWords(text)).toEqual({ kind: 'problem', message });
  });
});
