import { describe, expect, it } from 'vitest';
import type { Option } from '../../../src/config/option.ts';
import { readValue } from '../../../src/config/read-options.ts';

const base = { group: 'g', summary: 's', since: '2.0' } as const;

function option(kind: Option['kind']): Option {
  if (kind === 'choice') return { ...base, kind, choices: ['prefer', 'verify-ca'] };
  if (kind === 'integer' || kind === 'seconds') return { ...base, kind, range: [1, 32] };
  return { ...base, kind };
}

const good: [Option['kind'], string, unknown][] = [
  ['text', "it's # a; text", "it's # a; text"],
  ['secret', 'p%"w', 'p%"w'],
  ['shell', 'a | b; c', 'a | b; c'],
  ['shell', 'a\nb', 'a\nb'],
  ['name', 'bitarena-clone', 'bitarena-clone'],
  ['name', 'fe80::1', 'fe80::1'],
  ['path', '/a/b', '/a/b'],
  ['path', '//a///b/./', '/a/b'],
  ['path', '/a b/.hidden', '/a b/.hidden'],
  ['program', 'ssh', { program: 'ssh', args: [] }],
  [
    'program',
    "/usr/bin/ssh -p 2222 -o 'A B'",
    { program: '/usr/bin/ssh', args: ['-p', '2222', '-o', 'A B'] },
  ],
  ['rsync-flags', '', []],
  ['rsync-flags', '-z --bwlimit=100', ['-z', '--bwlimit=100']],
  ['rsync-flags', '-z\n--stats', ['-z', '--stats']],
  ['rsync-flags', `-z ""`, ['-z']],
  ...['yes', 'on', 'TRUE', '1'].map((text): [Option['kind'], string, unknown] => ['boolean', text, true]),
  ...['no', 'Off', 'false', '0'].map((text): [Option['kind'], string, unknown] => ['boolean', text, false]),
  ['port', '5432', 5432],
  ['port', '65535', 65535],
  ['integer', '1', 1],
  ['seconds', '+32', 32],
  ['choice', 'Prefer', 'prefer'],
  ['span', '4h', '4h'],
  ['span', '090 min', '90min'],
  ['size', '500MB', 500 * 1024 ** 2],
  ['size', '20 gb', 20 * 1024 ** 3],
  ['size', '1kB', 1024],
  ['size', '7B', 7],
  ['size', '0', 0],
  ['size', '0MB', 0],
  ['queue-limit', '500', { kind: 'files', files: 500 }],
  ['queue-limit', '2GB', { kind: 'bytes', bytes: 2 * 1024 ** 3 }],
  ['version', '8.4', '8.4'],
  ['version', '9.6.24', '9.6.24'],
  ['version', '15', '15'],
  ['version', '15.3', '15.3'],
  ['standby-names', 'a,b', ['a', 'b']],
  ['standby-names', ' a , b ,', ['a', 'b']],
  ['standby-names', 'a,\nb', ['a', 'b']],
  ['standby-names', '192.168.1.201,fe80::1', ['192.168.1.201', 'fe80::1']],
  ['search-path', '', []],
  ['search-path', '/usr/bin:/bin', ['/usr/bin', '/bin']],
  ['search-path', '/usr/bin, /bin/,/bin', ['/usr/bin', '/bin']],
  ['url', 'http://127.0.0.1:8008', 'http://127.0.0.1:8008'],
  ['url', 'https://[fe80::1]:8008/', 'https://[fe80::1]:8008'],
  ['urls', 'http://m1:8008, http://m2:8008/,http://m1:8008', ['http://m1:8008', 'http://m2:8008']],
];

const bad: [Option['kind'], string, string[]][] = [
  ['text', 'a\nb', ['must be one line']],
  ['text', 'a\u0000b', ['holds a control character']],
  ['secret', 'a\u0007', ['holds a control character']],
  ['name', '-oProxyCommand=x', ['"-oProxyCommand=x" would be taken for a flag']],
  ['name', 'root@host', ['"root@host" holds an "@": user and host have keys of their own']],
  ['name', 'a:5433', ['"a:5433" holds a port: it has a key of its own']],
  ['name', 'a,b', ['"a,b" is not a single plain name']],
  ['name', 'a b', ['"a b" is not a single plain name']],
  ['path', '~/x', ['"~/x": "~" is not expanded here, write the whole path']],
  ['path', '"/x y"', ['"/x y": write the path without quotes']],
  ['path', '/\ufffdber', ['holds bytes that are not UTF-8']],
  ['path', 'x/y', ['"x/y" is not an absolute path']],
  ['path', '/', ['"/" is the root directory']],
  ['path', '/./', ['"/./" is the root directory']],
  ['path', '/a/..', ['"/a/.." holds "..": write the path without it']],
  ['program', '~/bin/ssh', ['"~/bin/ssh": "~" is not expanded here, write the whole path']],
  ['program', 'bin/ssh', ['"bin/ssh" is neither an absolute path nor a plain program name']],
  ['program', '-p 22', ['"-p 22" does not begin with a program']],
  ['program', '/usr/bin/ssh "-p', ['has a " that is never closed']],
  ['rsync-flags', "-z '", ["has a ' that is never closed"]],
  [
    'rsync-flags',
    '-n --delete',
    [
      '-n is refused: it copies nothing, and rsync reports success',
      '--delete is refused: it changes which files are deleted on the receiving side',
    ],
  ],
  ['boolean', 'maybe', ['"maybe" is neither on (yes, true, 1) nor off (no, false, 0)']],
  ['port', '54x', ['"54x" is not a port number (1 to 65535)']],
  ['port', '0', ['"0" is out of range (1 to 65535)']],
  ['integer', '1.5', ['"1.5" is not a whole number (1 to 32)']],
  ['integer', '-3', ['"-3" is out of range (1 to 32)']],
  ['seconds', 'ten', ['"ten" is not a number of seconds (1 to 32)']],
  ['seconds', '0x10', ['"0x10" is not a number of seconds (1 to 32)']],
  ['choice', 'maybe', ['"maybe" is none of prefer, verify-ca']],
  ['span', '90', ['"90" is not a time span such as 90s, 30min, 4h or 1d']],
  ['span', '0h', ['"0h" is not a time span such as 90s, 30min, 4h or 1d']],
  ['size', '500', ['"500" is not a size such as 500MB or 20GB']],
  ['queue-limit', '0', ['"0" is neither a size such as 50GB nor a number of files']],
  ['queue-limit', '0GB', ['"0GB" is neither a size such as 50GB nor a number of files']],
  ['size', '5 miles', ['"5 miles" is not a size such as 500MB or 20GB']],
  ['size', '999999999999TB', ['"999999999999TB" is not a size such as 500MB or 20GB']],
  ['version', '9', ['"9" is not a version such as 8.4, 9.6 or 15']],
  ['version', 'latest', ['"latest" is not a version such as 8.4, 9.6 or 15']],
  ['version', '8.3', ['"8.3" is older than 8.4, the first version supported']],
  ['standby-names', 'a b', ['"a b" holds a blank: separate standbys by commas']],
  ['standby-names', 'a;b', ['"a;b" holds a ";": separate standbys by commas']],
  [
    'standby-names',
    'a:2222',
    ['"a:2222" holds a port: in the section of that standby, "ssh: /usr/bin/ssh -p PORT" names it'],
  ],
  ['standby-names', 'a,b,a', ['"a" is listed twice']],
  ['standby-names', ', ,', ['names no standby']],
  ['standby-names', 'DEFAULT', ['"DEFAULT" cannot be a standby: it is the section of the defaults']],
  ['standby-names', 'root@a', ['"root@a" holds an "@": the user has a key of its own']],
  [
    'standby-names',
    '../x, .archiver, -n, ., a/b',
    [
      '"../x" begins with ".", but the name of a queue directory must not',
      '".archiver" begins with ".", but the name of a queue directory must not',
      '"-n" begins with "-", but the name of a queue directory must not',
      '"." begins with ".", but the name of a queue directory must not',
      '"a/b" cannot be the name of a queue directory',
    ],
  ],
  ['url', '127.0.0.1:8008', ['"127.0.0.1:8008" is not a URL such as http://127.0.0.1:8008']],
  ['url', 'ftp://m1', ['"ftp://m1" is not a URL such as http://127.0.0.1:8008']],
  [
    'url',
    'http://m1:8008/primary',
    ['"http://m1:8008/primary" has a path: only scheme, host and port are given'],
  ],
  ['url', 'http://u:secret@m1', ['the URL holds a login: Patroni answers these questions without one']],
  ['urls', ', ,', ['names no URL']],
  [
    'search-path',
    '/bin:lib:~/x',
    ['"lib" is not an absolute path', '"~/x": "~" is not expanded here, write the whole path'],
  ],
];

describe('a value of the INI file', () => {
  it.each(good)('is read as %s: %j', (kind, text, value) => {
    expect(readValue(option(kind), text)).toEqual({ kind: 'value', value });
  });

  it.each(bad)('is refused as %s: %j', (kind, text, messages) => {
    expect(readValue(option(kind), text)).toEqual({ kind: 'problems', messages });
  });
});
