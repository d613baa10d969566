import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readScheduled, readUnit, unitIn } from '../../../src/system/units.ts';
import { removeTree } from '../../harness/remove-tree.ts';

test.each([
  ['0::/system.slice/system-postgresql.slice/postgresql@15-main.service\n', 'postgresql@15-main.service'],
  ['1:name=systemd:/system.slice/postgresql-15.service\n0::/other\n', 'postgresql-15.service'],
  ['0::/user.slice/user-1000.slice/session-3.scope\n', undefined],
  ['0::/system.slice/ssh.service\n', undefined],
  ['', undefined],
])('the unit in %j is %s', (cgroup, unit) => {
  expect(unitIn(cgroup)).toBe(unit);
});

describe('the services that are scheduled', () => {
  let root = '';
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'units-'));
  });
  afterEach(() => {
    removeTree(root);
  });
  const put = (path: string, text = 'ExecStart=/usr/bin/x\n') => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  const wanted = (unit: string) => {
    put(`/etc/systemd/system/any.target.wants/${unit}`, '');
  };
  const noCrontab = () =>
    Promise.resolve({ kind: 'not-started', reason: 'in a test', stdout: '', stderr: '' } as const);
  const paths = async () => (await readScheduled(noCrontab, root)).map(({ path }) => path.slice(root.length));
  const packaged = '/usr/lib/systemd/system';

  test('are those of the administrator, and of a package those that something starts', async () => {
    put('/etc/systemd/system/own.service');
    put('/etc/cron.d/own', '* * * * * postgres x\n');
    for (const name of ['plain', 'timed', 'named', 'template@', 'idle', 'idle@'])
      put(`${packaged}/${name}.service`);
    put(`${packaged}/other.timer`, '[Timer]\nUnit=named.service\n');
    put(`${packaged}/idle-other.timer`, '[Timer]\nUnit=idle.service\n');
    expect(await paths()).toEqual(['/etc/systemd/system/own.service', '/etc/cron.d/own']);
    for (const unit of ['plain.service', 'timed.timer', 'other.timer', 'template@15-main.service'])
      wanted(unit);
    expect([...(await paths())].sort()).toEqual([
      ...['/etc/cron.d/own', '/etc/systemd/system/own.service'],
      ...['named', 'plain', 'template@', 'timed'].map((name) => `${packaged}/${name}.service`),
    ]);
  });

  test('are, of one of them, the files that have an effect: those of a later folder are hidden by their names', async () => {
    const unit = 'postgresql@15-main.service';
    const etc = '/etc/systemd/system';
    put(`${etc}/postgresql@.service`, 'Restart=no\n');
    put(`${packaged}/postgresql@.service`, 'Restart=always\n');
    put(`${packaged}/postgresql@.service.d/may-start.conf`, 'ExecStartPre=cmd_archiver --may-start\n');
    put(`${packaged}/${unit}.d/other.conf`, '');
    const read = async () => (await readUnit(unit, root)).map(({ path }) => path.slice(root.length));
    expect(await read()).toEqual([
      `${etc}/postgresql@.service`,
      `${packaged}/${unit}.d/other.conf`,
      `${packaged}/postgresql@.service.d/may-start.conf`,
    ]);
    put(`${etc}/${unit}.d/may-start.conf`, '');
    expect(await read()).toEqual([
      `${etc}/postgresql@.service`,
      `${etc}/${unit}.d/may-start.conf`,
      `${packaged}/${unit}.d/other.conf`,
    ]);
  });

  test('are none where there is no systemd', async () => {
    expect(await paths()).toEqual([]);
  });
});
