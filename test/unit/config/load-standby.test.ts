import { describe, expect, it } from 'vitest';
import { parseStandbyConfig, requireFor } from '../../../src/config/load-standby.ts';
import { goodStandby, problemsOf, standbySettings, usable } from './fixtures.ts';

const problems = (text: string): string[] => problemsOf(parseStandbyConfig(text));

describe('the required keys of the standby', () => {
  it('are three', () => {
    expect(standbySettings(goodStandby)).toMatchObject({
      port: 5432,
      ssh_timeout: 30,
      rsync: { program: 'rsync', args: [] },
      recovery_conf: '/data/recovery.conf',
      repl_db_user: undefined,
      tablespaces: new Map(),
    });
  });

  it.each(['master_public_ip', 'pgdata', 'archivedir'])(
    'are reported if %s is missing, and nothing else is',
    (key) => {
      const text = goodStandby.replace(new RegExp(`^${key}:.*\n`, 'm'), '');
      expect(problems(text)).toHaveLength(1);
      expect(problems(text)[0]).toMatch(new RegExp(`^1: missing required key "${key}": `));
    },
  );
});

describe('a secret value', () => {
  it('is read unchanged', () => {
    expect(standbySettings(`${goodStandby}repl_db_password: "it's" \\#=%x;\n`).repl_db_password).toBe(
      `"it's" \\#=%x;`,
    );
  });

  it('does not appear in messages', () => {
    const text = `${goodStandby}repl_db_password: hunter2\n  hunter3\nrepl_db_passwd: hunter4\nhunter5\n`;
    expect(problems(text)).toHaveLength(3);
    expect(problems(text).join('\n')).not.toContain('hunter');
  });
});

describe('[tablespaces]', () => {
  it('maps old paths to new ones', () => {
    const text =
      `${goodStandby}base: /mnt\n`.replace('base', 'logfile') +
      '[tablespaces]\n/srv/Fast/ = /data2/fast\n/b: %(logfile)/b\n';
    expect(standbySettings(text).tablespaces).toEqual(
      new Map([
        ['/srv/Fast', '/data2/fast'],
        ['/b', '/mnt/b'],
      ]),
    );
  });

  it('refuses a value that is no path, or an overlapping one', () => {
    const text = `${goodStandby}[tablespaces]\nfast = /x\n/a = y\n/b = /data/b\n/c = /new\n/d = /new/d\n/e = /\n/c = /other\n`;
    expect(problems(text)).toEqual([
      '6: tablespace: "fast" is not an absolute path',
      '7: tablespace: "y" is not an absolute path',
      '8: tablespace: /data/b overlaps with /data',
      '10: tablespace: /new/d overlaps with /new',
      '11: tablespace: "/" is the root directory',
      '12: "/c" is already on line 9',
    ]);
  });

  it('refuses a pair that would become a part of the path above it, and bytes that are no path', () => {
    expect(
      problems(`${goodStandby}[tablespaces]\n/a = /new/a\n  /b = /new/b\n/c = /new/\u001B[2J\n`),
    ).toEqual([
      '6: tablespace: must be one line',
      '7: "/b = /new/b" is indented deeper than "/a" on line 6, so it would be a part of that path',
      '8: tablespace: holds a control character',
    ]);
    expect(problems(`${goodStandby}[tablespaces]\n/\uFFFD = /new/a\n`)).toEqual([
      '6: tablespace: holds bytes that are not UTF-8',
    ]);
  });

  it('is the only section beside [DEFAULT]', () => {
    expect(problems(`${goodStandby}[tablespace]\n[other]\n`)).toEqual([
      '5: unknown section [tablespace] (did you mean "tablespaces"?)',
      '6: unknown section [other]',
    ]);
  });
});

describe('the archivedir of the standby', () => {
  it.each(['/data', '/data/archive', '//data/./archive/'])('is refused at %s under pgdata', (path) => {
    expect(problems(goodStandby.replace('/archive', path))[0]).toMatch(
      /^4: archivedir .* lies in pgdata, where a base backup would delete it$/,
    );
  });

  it('is allowed beside pgdata', () => {
    expect(problems(goodStandby.replace('/archive', '/database'))).toEqual([]);
  });
});

describe('the check for an action', () => {
  it('requires the role only if the action uses streaming', () => {
    const text = `${goodStandby}use_streaming_replication: on\n`;
    const config = usable(parseStandbyConfig(text));
    expect(requireFor(config, 'start-standby')).toEqual([
      {
        line: 5,
        message:
          'missing key "repl_db_user", which -S needs when "use_streaming_replication" is on: the database role for streaming replication',
      },
    ]);
    expect(requireFor(config, 'base-backup')).toEqual([]);
  });

  it('succeeds with a role, or without streaming', () => {
    const streaming = `${goodStandby}use_streaming_replication: on\nrepl_db_user: r\n`;
    expect(requireFor(usable(parseStandbyConfig(streaming)), 'start-standby')).toEqual([]);
    expect(requireFor(usable(parseStandbyConfig(goodStandby)), 'start-standby')).toEqual([]);
  });
});
