import { describe, expect, it } from 'vitest';
import { parseArchiverConfig } from '../../../src/config/load-archiver.ts';
import { archiverSettings, goodArchiver, problemsOf, usable } from './fixtures.ts';

const problems = (text: string): string[] => problemsOf(parseArchiverConfig(text));

describe('the required keys of the archiver', () => {
  it('are four', () => {
    expect(archiverSettings(goodArchiver)).toMatchObject({
      state: 'online',
      rsync_flags: ['-z'],
      slaves: ['a', 'b'],
      notify_ok: undefined,
    });
  });

  it.each(['pgdata', 'slaves', 'r_archivedir', 'l_archivedir'])(
    'are reported with the header if %s is missing',
    (key) => {
      const text = `\n${goodArchiver}`.replace(new RegExp(`^${key}:.*\n`, 'm'), '');
      expect(problems(text)).toHaveLength(1);
      expect(problems(text)[0]).toMatch(new RegExp(`^2: missing required key "${key}": `));
    },
  );

  it('are reported at once for an empty file, on its first line', () => {
    expect(problems('').map((problem) => problem.slice(0, 23))).toEqual(
      Array(4).fill('1: missing required key'),
    );
  });

  it('are reported once if one is mistyped', () => {
    expect(problems(goodArchiver.replace('slaves', 'slavs'))).toEqual([
      '3: unknown key "slavs" (did you mean "slaves"?)',
    ]);
  });

  it('are reported once if the interpolation of one fails', () => {
    expect(problems(goodArchiver.replace('/data', '%(home)/data'))).toEqual([
      '2: "pgdata" refers to %(home), which is not set',
    ]);
  });

  it('must not be empty', () => {
    expect(problems(goodArchiver.replace('pgdata: /data', 'pgdata:').replace('a, b', '""'))).toEqual([
      "2: pgdata: is empty, but needed: the primary's data directory",
      '3: slaves: is empty, but needed: host names or IP addresses of the standbys, separated by commas',
    ]);
  });
});

describe('an empty value', () => {
  it('leaves a command unset', () => {
    expect(archiverSettings(`${goodArchiver}notify_ok:\n`).notify_ok).toBeUndefined();
  });

  it('means no flags and no directories', () => {
    const settings = archiverSettings(`${goodArchiver}rsync_flags:\nincludepath: ""\n`);
    expect(settings).toMatchObject({ rsync_flags: [], includepath: [] });
  });

  it('is reported if the key has a default', () => {
    expect(problems(`${goodArchiver}ssh_timeout:\n`)).toEqual([
      '6: ssh_timeout: is empty; without this line it would be 10',
    ]);
  });
});

describe('mistakes in cmd_archiver.ini', () => {
  it('are reported all at once, in the order of the file', () => {
    const text = `[DEFAULT]
state: maybe
pgdata: data
slaves: a,a
colour: red
r_archivedir: ~/archive
ssh_timeout: 0
ssh_timeout: 5
rsync_flags: -z --update
nonsense
[c]
user: x
`;
    expect(problems(text)).toEqual([
      '1: missing required key "l_archivedir": the directory on this host for the WAL of standbys that cannot be reached, with one queue directory per standby',
      '2: state: "maybe" is none of online, offline',
      '3: pgdata: "data" is not an absolute path',
      '4: slaves: "a" is listed twice',
      '5: unknown key "colour"',
      '6: r_archivedir: "~/archive": "~" is not expanded here, write the whole path',
      '7: ssh_timeout: "0" is out of range (1 to 3600)',
      '8: "ssh_timeout" is already on line 7',
      '9: rsync_flags: --update is refused: it leaves files out, and rsync reports success',
      '10: neither "key: value", a [section] nor a comment',
    ]);
  });

  it('in the indentation do not hide a key', () => {
    expect(problems(`${goodArchiver}notify_ok: echo\n  state: offline\n`)).toEqual([
      '7: "state" is indented deeper than "notify_ok" on line 6, so it would be a part of that value',
    ]);
  });

  it('in the indentation do not hide the section of a standby, and a test of the shell is none', () => {
    expect(problems(`${goodArchiver}notify_ok: echo\n  [b]\n  host: 192.0.2.2\n`)).toEqual([
      '7: "[b]" is indented deeper than "notify_ok" on line 6, so it would be a part of that value',
    ]);
    expect(parseArchiverConfig(`${goodArchiver}notify_ok: echo;\n  [ -e /tmp/quiet ]\n`).kind).toBe('ok');
  });

  it('in the name of a key do no harm, even if the name means something to JavaScript', () => {
    expect(problems(`${goodArchiver}__proto__: x\nconstructor: y\n`)).toEqual([
      '6: unknown key "__proto__"',
      '7: unknown key "constructor"',
    ]);
  });

  it('in the case of a key in [DEFAULT] are accepted', () => {
    expect(problems(goodArchiver.replace('DEFAULT', 'default'))).toContain(
      '1: section [default] is not a standby in "slaves" (did you mean "DEFAULT"?)',
    );
  });
});

describe('the section of one standby', () => {
  it('overrides the defaults', () => {
    const text = `${goodArchiver}user: postgres
[b]
host: 10.0.0.2
user: replica
ssh: /usr/bin/ssh -p 2222
ssh_timeout: 3
rsync_flags: --bwlimit=100
r_archivedir: /srv/archive
`;
    expect(archiverSettings(text).standbys).toEqual([
      {
        name: 'a',
        host: 'a',
        user: 'postgres',
        ssh: { program: 'ssh', args: [] },
        ssh_timeout: 10,
        rsync_flags: ['-z'],
        r_archivedir: '/remote',
      },
      {
        name: 'b',
        host: '10.0.0.2',
        user: 'replica',
        ssh: { program: '/usr/bin/ssh', args: ['-p', '2222'] },
        ssh_timeout: 3,
        rsync_flags: ['--bwlimit=100'],
        r_archivedir: '/srv/archive',
      },
    ]);
  });

  it('can have an address with dots as its name', () => {
    const text = `${goodArchiver.replace('a, b', '10.0.0.1')}[10.0.0.1]\nuser: x\n`;
    expect(archiverSettings(text).standbys).toMatchObject([
      { name: '10.0.0.1', host: '10.0.0.1', user: 'x' },
    ]);
  });

  it('must have the name of a standby', () => {
    expect(problems(`${goodArchiver.replace('a, b', 'bitarena-clone')}[bitarena_clone]\nuser: x\n`)).toEqual([
      '6: section [bitarena_clone] is not a standby in "slaves" (did you mean "bitarena-clone"?)',
    ]);
  });

  it('can set only keys that may differ between standbys', () => {
    expect(problems(`${goodArchiver}[a]\nstate: offline\nusr: x\nssh_timeout: 0\n`)).toEqual([
      '7: "state" belongs in [DEFAULT]: a standby\'s section may set host, user, ssh, ssh_timeout, rsync_flags, r_archivedir',
      '8: unknown key "usr" (did you mean "user"?)',
      '9: ssh_timeout: "0" is out of range (1 to 3600)',
    ]);
  });

  it('is the right place for host', () => {
    expect(problems(`${goodArchiver}host: x\n`)).toEqual([
      '6: "host" belongs in the section of one standby, not in [DEFAULT]',
    ]);
  });

  it('does not repeat the report of a mistake in [DEFAULT]', () => {
    expect(problems(`${goodArchiver}user: a@b\n[a]\n[b]\n`)).toEqual([
      '6: user: "a@b" holds an "@": user and host have keys of their own',
    ]);
  });

  it('must not lead two standbys to one directory', () => {
    expect(problems(`${goodArchiver}[b]\nhost: a\n`)).toEqual([
      '6: standbys "a" and "b" both mean a:/remote',
    ]);
  });
});

describe('warnings about cmd_archiver.ini', () => {
  it('name a queue in the data directory', () => {
    const config = usable(parseArchiverConfig(goodArchiver.replace('/local', '/data/archive/')));
    expect(config.warnings).toEqual([
      {
        line: 5,
        message: 'l_archivedir /data/archive lies in pgdata, so every base backup copies the queues as well',
      },
    ]);
  });

  it('do not mistake a longer name for a path inside', () => {
    expect(usable(parseArchiverConfig(goodArchiver.replace('/local', '/data2'))).warnings).toEqual([]);
  });
});

it('the lines of the keys are returned', () => {
  expect(Object.fromEntries(usable(parseArchiverConfig(goodArchiver)).lines)).toMatchObject({
    '': 1,
    slaves: 3,
  });
});
