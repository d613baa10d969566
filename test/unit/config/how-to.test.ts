import { describe, expect, it } from 'vitest';
import { parseArchiverConfig } from '../../../src/config/load-archiver.ts';
import { parseStandbyConfig } from '../../../src/config/load-standby.ts';
import { describeProblems } from '../../../src/config/problem.ts';
import { problemsOf, readFixture, usable } from './fixtures.ts';

const statusLimits = {
  behind_warning_size: 64 * 1024 ** 2,
  behind_warning_time: 300,
  behind_critical_size: 1024 ** 3,
  behind_critical_time: 3600,
  disk_warning: 85,
  disk_critical: 95,
  disk_full_warning: 86_400,
  disk_full_critical: 7200,
};

function replaceLine(text: string, from: string, to: string): string {
  const lines = text.split('\n');
  const at = lines.findIndex((line) => line.trim() === from);
  expect(at).toBeGreaterThanOrEqual(0);
  lines[at] = to;
  return lines.join('\n');
}

describe('the archiver file of the how-to', () => {
  const text = readFixture('how-to-archiver.ini');

  it('is the one that is indented as a whole, with blanks after its values', () => {
    expect(text).toMatch(/^ {4}\[DEFAULT\]\n/);
    expect(text).toContain('state: online     ');
  });

  it('loads without problems or warnings', () => {
    const { settings, warnings } = usable(parseArchiverConfig(text));
    expect(warnings).toEqual([]);
    expect(settings).toEqual({
      state: 'online',
      start_unseen: 'allow',
      start_probe_timeout: 10,
      relay: false,
      standby_ini: undefined,
      pgdata: '/var/lib/postgresql/8.4/main',
      r_archivedir: '/var/lib/postgresql/archive',
      l_archivedir: '/var/lib/postgresql/archive',
      ssh: { program: '/usr/bin/ssh', args: [] },
      rsync_bin: { program: '/usr/bin/rsync', args: [] },
      rsync_flags: ['-z'],
      rsync_version: 3,
      slaves: ['bitarena-clone'],
      user: 'postgres',
      ssh_timeout: 10,
      notify_ok: 'echo OK',
      notify_warning: 'echo WARNING',
      notify_critical: 'echo CRITICAL',
      notify_reminder: 3600,
      ...statusLimits,
      keep_streamed_max: 10 * 1024 ** 3,
      archive_stall: 180,
      dbname: undefined,
      port: undefined,
      psql: { program: 'psql', args: [] },
      queue_after: 1,
      queue_compress: false,
      queue_full: 'block',
      ship_nice: 0,
      queue_max: undefined,
      queue_min_free: undefined,
      ship_bwlimit: undefined,
      debug: true,
      ssh_debug: false,
      includepath: [],
      log_format: 'text',
      standbys: [
        {
          name: 'bitarena-clone',
          host: 'bitarena-clone',
          user: 'postgres',
          ssh: { program: '/usr/bin/ssh', args: [] },
          ssh_timeout: 10,
          rsync_flags: ['-z'],
          r_archivedir: '/var/lib/postgresql/archive',
        },
      ],
      hasKeysOf14: false,
    });
  });

  it('gives three lines for three mistakes', () => {
    let broken = replaceLine(text, 'state: online', '    stat: online');
    broken = replaceLine(broken, 'ssh_timeout: 10', '    ssh_timeout: ten');
    broken = replaceLine(broken, 'l_archivedir: /var/lib/postgresql/archive', '');
    const config = parseArchiverConfig(broken);
    expect(config.kind === 'problems' && describeProblems('cmd_archiver.ini', config.problems)).toEqual([
      'cmd_archiver.ini:1: missing required key "l_archivedir": the directory on this host for the WAL of standbys that cannot be reached, with one queue directory per standby',
      'cmd_archiver.ini:3: unknown key "stat" (did you mean "state"?)',
      'cmd_archiver.ini:37: ssh_timeout: "ten" is not a number of seconds (1 to 3600)',
    ]);
  });
});

describe('the standby file of the how-to', () => {
  const text = readFixture('how-to-standby.ini');

  it('loads without problems or warnings', () => {
    const { settings, warnings } = usable(parseStandbyConfig(text));
    expect(warnings).toEqual([]);
    expect(settings).toEqual({
      pgversion: '8.4',
      numarchives: 10,
      use_streaming_replication: false,
      trigger_file: '/var/lib/postgresql/pitrtools/cmd_end_recovery',
      repl_db_user: 'replication',
      repl_db_password: 'replication',
      sslmode: 'prefer',
      ssh: { program: '/usr/bin/ssh', args: [] },
      rsync: { program: '/usr/bin/rsync', args: [] },
      rsync_flags: ['-z'],
      pg_standby: { program: '/usr/lib/postgresql/8.4/bin/pg_standby', args: [] },
      pg_ctl: { program: '/usr/lib/postgresql/8.4/bin/pg_ctl', args: [] },
      pg_archivecleanup: { program: '/usr/lib/postgresql/9.0/bin/pg_archivecleanup', args: [] },
      r_psql: { program: '/usr/lib/postgresql/8.4/bin/psql', args: [] },
      port: 5432,
      master_public_ip: 'bitarena',
      master_local_ip: '127.0.0.1',
      user: 'postgres',
      debug: true,
      ssh_debug: false,
      ssh_timeout: 30,
      archivedir: '/var/lib/postgresql/archive',
      pgdata: '/var/lib/postgresql/8.4/main',
      pg_conf_failover: '/var/lib/postgresql/pitrtools/etc/pg_conf_failover/postgresql.conf',
      pg_hba_conf_failover: '/var/lib/postgresql/pitrtools/etc/pg_conf_failover/pg_hba.conf',
      pg_conf: '/var/lib/postgresql/pitrtools/etc/pg_conf/postgresql.conf',
      pg_hba_conf: '/var/lib/postgresql/pitrtools/etc/pg_conf/pg_hba.conf',
      no_copy_conf: false,
      recovery_conf: '/var/lib/postgresql/8.4/main/recovery.conf',
      logfile: '/var/log/postgresql/postgresql-8.4-main.log',
      notify_critical: 'echo CRITICAL',
      notify_warning: 'echo WARNING',
      notify_ok: 'echo OK',
      notify_reminder: 3600,
      ...statusLimits,
      backup_warning_age: 604_800,
      keep_streamed_max: 10 * 1024 ** 3,
      use_slot: false,
      slot_unlimited: false,
      action_failover: '/var/lib/postgresql/pitrtools/scripts/failover.sh',
      includepath: [],
      rsync_threads: 1,
      basebackup_method: 'rsync',
      pg_basebackup: { program: 'pg_basebackup', args: [] },
      basebackup_bwlimit: 0,
      basebackup_nice: 0,
      basebackup_ionice: 'off',
      drill_may_stop: false,
      drill_reserve: 1024 ** 3,
      drill_time: 14400,
      drill_nice: 19,
      drill_ionice: 'idle',
      failover_probe_timeout: 5,
      fence_timeout: 60,
      start_timeout: 120,
      wal_timeout: 120,
      base_backup_timeout: 86400,
      basebackup_checkpoint: 'fast',
      progress_interval: 30,
      log_format: 'text',
      tablespaces: new Map(),
    });
  });

  it('gives three lines for three mistakes', () => {
    let broken = replaceLine(text, 'sslmode: prefer', 'ssl_mode: prefer');
    broken = replaceLine(broken, 'port: 5432', 'port: 5432x');
    broken = replaceLine(broken, 'master_public_ip: bitarena', '');
    expect(problemsOf(parseStandbyConfig(broken))).toEqual([
      '1: missing required key "master_public_ip": host name or IP address of the primary',
      '29: unknown key "ssl_mode" (did you mean "sslmode"?)',
      '55: port: "5432x" is not a port number (1 to 65535)',
    ]);
  });

  it('accepts the line that its comment tells the reader to uncomment', () => {
    const { settings } = usable(parseStandbyConfig(text.replace(';no_copy_conf', 'no_copy_conf')));
    expect(settings.no_copy_conf).toBe(true);
  });

  it("accepts the values of the how-to's section on streaming", () => {
    const streaming = text
      .replace('use_streaming_replication: no', 'use_streaming_replication: on')
      .replace('repl_db_password: replication', 'repl_db_password: changeme')
      .replace('9.0/bin/pg_archivecleanup', '9.1/bin/pg_archivecleanup');
    expect(usable(parseStandbyConfig(streaming)).settings).toMatchObject({
      use_streaming_replication: true,
      repl_db_password: 'changeme',
      pg_archivecleanup: { program: '/usr/lib/postgresql/9.1/bin/pg_archivecleanup' },
    });
  });
});

describe('the INI files of release 1.4', () => {
  it('load for the archiver, with a warning for each key that has no effect', () => {
    const { settings, warnings } = usable(parseArchiverConfig(readFixture('release-1.4-archiver.ini')));
    expect(settings.includepath).toEqual(['/usr/bin', '/bin', '/usr/local/bin']);
    expect(settings.ssh).toEqual({ program: 'ssh', args: [] });
    expect(settings.hasKeysOf14).toBe(true);
    expect(settings.standbys.map(({ host }) => host)).toEqual(['192.168.1.201', '192.168.1.202']);
    expect(warnings.map(({ line, message }) => `${line}: ${message.split(':')[0] ?? ''}`)).toEqual([
      '20: "queue_user" has no effect any more',
      '21: "queue_wait" has no effect any more',
      '22: "max_queue_workers" has no effect any more',
    ]);
  });

  it('may name pg_controldata, and the standbys in quotes', () => {
    const text = readFixture('release-1.4-archiver.ini')
      .replace('192.168.1.201,192.168.1.202', "'192.168.1.201','192.168.1.202'")
      .concat('pgcontroldata: /usr/lib/postgresql/9.2/bin/pg_controldata\n');
    const { settings, warnings } = usable(parseArchiverConfig(text));
    expect(settings.slaves).toEqual(['192.168.1.201', '192.168.1.202']);
    expect(warnings.at(-1)?.message).toBe(
      '"pgcontroldata" has no effect any more: pg_control is read without a program',
    );
  });

  it('load for the standby', () => {
    const { settings, warnings } = usable(parseStandbyConfig(readFixture('release-1.4-standby.ini')));
    expect(warnings).toEqual([]);
    expect(settings).toMatchObject({
      includepath: ['/usr/lib/postgresql/9.2/bin', '/usr/bin'],
      rsync_threads: 4,
      pg_ctl: { program: 'pg_ctl', args: [] },
      recovery_conf: '/var/lib/postgresql/9.2/main/recovery.conf',
      sslmode: 'require',
    });
    expect(settings.pg_standby).toBeUndefined();
  });
});
