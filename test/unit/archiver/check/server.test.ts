import { describe, expect, test } from 'vitest';
import { judgeLogin, judgeUnit } from '../../../../src/archiver/check/server.ts';
import { callersOf } from '../../../../src/system/units.ts';

describe('a login that fails', () => {
  test.each([
    ['there is no program "psql"', 'Set psql:'],
    ['FATAL:  role "backup" does not exist', 'Create the role'],
    ['FATAL:  no pg_hba.conf entry for host "[local]"', 'in pg_hba.conf "local all me peer"'],
    ['FATAL:  Peer authentication failed for user "x"', 'in pg_hba.conf'],
    ['connection to server on socket "/x" failed: No such file or directory', 'Set port:'],
    ['exit status 2', 'must work by hand'],
  ])('%j', (reason, hint) => {
    expect(judgeLogin(reason, 'psql', 'me')).toMatchObject({
      result: 'failed',
      hint: expect.stringContaining(hint) as string,
    });
  });
});

describe('a unit of systemd', () => {
  test('is shown with its restart policy, and with the way to --may-start', () => {
    const file = {
      path: '/usr/lib/systemd/system/postgresql@.service',
      text: '[Service]\nRestart=on-failure\n',
    };
    expect(judgeUnit('postgresql@15-main.service', false, [file])).toMatchObject({
      says: 'systemd runs the server as postgresql@15-main.service (Restart=on-failure), and does not ask --may-start',
      hint: expect.stringContaining('/etc/systemd/system/postgresql@15-main.service.d') as string,
    });
    expect(judgeUnit('postgresql.service', true, []).hint).toBeUndefined();
  });

  test('has the restart policy of its last drop-in', () => {
    const system = '/etc/systemd/system/postgresql.service';
    const files = [
      { path: system, text: 'Restart=no\n' },
      { path: '/usr/lib/systemd/system/postgresql.service', text: 'Restart=on-abort\n' },
      { path: `${system}.d/20-b.conf`, text: 'Restart=\nRestart=always\n' },
      { path: '/usr/lib/systemd/system/postgresql.service.d/10-a.conf', text: 'Restart=on-failure\n' },
    ];
    const says = (some: typeof files) => judgeUnit('postgresql.service', true, some).says;
    expect(says(files)).toContain('(Restart=always)');
    expect(says(files.slice(0, 2))).toContain('(Restart=no)');
    expect(says([{ path: system, text: 'Restart=\nTimeoutSec=5\n' }])).toContain('(Restart=no)');
  });
});

describe('a unit or a cron entry that calls a program', () => {
  const flag = /\s--ship\b/;
  test.each([
    ['ExecStart=/opt/bin/cmd_archiver -C /etc/a.ini --ship', true],
    ['ExecStart=/opt/bin/cmd_archiver \\\n  -C /etc/a.ini --ship', true],
    ['# ExecStart=/opt/bin/cmd_archiver -C /etc/a.ini --ship', false],
    ['; ExecStart=/opt/bin/cmd_archiver -C /etc/a.ini --ship', false],
    ['*/5 * * * * cmd_archiver -C /etc/a.ini --cleanup', false],
    ['Description=Runs cmd_archiver\nExecStart=/bin/x --ship', false],
  ])('%j: %s', (text, calls) => {
    expect(callersOf([{ path: '/p', text }], 'cmd_archiver', flag)).toEqual(calls ? ['/p'] : []);
  });
});
