import type { OptionTable, SettingsOf } from './option.ts';
import { backupOptions } from './options-backup.ts';
import { commonOptions, groups, statusOptions } from './options-common.ts';
import { drillOptions } from './options-drill.ts';

const serverProgram = { kind: 'program', group: groups.programs, expects: 'program' } as const;
const readyFile = { kind: 'path', group: groups.configuration, expects: 'file' } as const;
const limit = { kind: 'seconds', group: groups.limits, since: '2.0' } as const;
const siteCommand = { kind: 'shell', group: groups.commands, since: '2.0' } as const;
const longest = 86_400;

/** Every key of cmd_standby's INI file, in the sample's order. */
export const standbyOptions = {
  master_public_ip: {
    kind: 'name',
    group: groups.basics,
    required: true,
    example: 'bitarena',
    summary: 'host name or IP address of the primary',
  },
  pgdata: {
    kind: 'path',
    group: groups.basics,
    required: true,
    example: '/var/lib/postgresql/15/main',
    summary: "the standby's data directory, on this host",
  },
  archivedir: {
    kind: 'path',
    group: groups.basics,
    required: true,
    example: '/var/lib/postgresql/archive',
    summary: "the directory in which the primary's WAL arrives: r_archivedir in cmd_archiver.ini",
  },
  archiver_ini: {
    kind: 'path',
    group: groups.basics,
    since: '2.0',
    example: '/etc/cmd_archiver.ini',
    summary: "cmd_archiver's INI file on this host: whom it feeds once it is the primary",
    detail:
      'If not set, `cmd_archiver.ini` beside this file. A failover asks and informs the standbys that it names.',
  },
  public_ip: {
    kind: 'name',
    group: groups.basics,
    since: '2.0',
    example: 'bitarena-clone',
    summary: 'host name or IP address by which the other hosts reach this one once it is the primary',
    detail:
      'If not set, the name of this host. `--switchover` checks that the other hosts reach its server there.',
  },
  peer_program: {
    kind: 'path',
    group: groups.basics,
    since: '2.0',
    example: '/opt/pitrtools/bin/cmd_standby',
    summary: 'cmd_standby on the host of the primary',
    detail: 'If not set, the path of the program on this host. `--switchover` calls it there, over ssh.',
  },
  peer_ini: {
    kind: 'path',
    group: groups.basics,
    since: '2.0',
    example: '/etc/cmd_standby.ini',
    summary: "cmd_standby's INI file on the host of the primary",
    detail: 'If not set, the path of this file. It says how the primary is stopped, and run as a standby.',
  },
  patroni_url: {
    kind: 'urls',
    group: groups.patroni,
    since: '2.0',
    example: 'http://m1:8008, http://m2:8008, http://m3:8008',
    summary: 'the REST APIs of the members, if Patroni runs the primary',
    detail:
      'The first one that knows the leader says where the primary is: its host and port count in place of `master_public_ip` and `port`, which count while none answers. See [Patroni](patroni.md).',
  },
  user: {
    ...commonOptions.user,
    summary: 'the system user to log in as on the primary, and the database superuser on both servers',
  },
  port: {
    kind: 'port',
    group: groups.connection,
    default: '5432',
    summary: "the port of the primary's server",
  },
  master_local_ip: {
    kind: 'text',
    group: groups.connection,
    default: '127.0.0.1',
    summary: 'the address at which psql reaches the server when it runs on the primary itself',
    detail: 'It can also be the directory of the Unix socket.',
  },
  ssh_timeout: {
    kind: 'seconds',
    range: [1, 3600],
    group: groups.connection,
    default: '30',
    summary: 'how many seconds the primary may take to answer over ssh',
  },
  pgversion: {
    kind: 'version',
    group: groups.server,
    example: '15',
    summary: 'the major version of PostgreSQL that you expect: a server of another version is reported',
    detail: 'The version itself is read from the server and from its data directory.',
  },
  local_port: {
    kind: 'port',
    group: groups.server,
    since: '2.0',
    example: '5432',
    summary: "the port of the standby's own server",
    detail: 'If not set, the port in the configuration of that server is used.',
  },
  dbname: {
    ...commonOptions.dbname,
    summary: 'the database to log in to, on the server of this host and on the primary',
    detail:
      'On the primary it contains the helper functions. If not set, it is postgres; on this host it is template1 if there is no database postgres.',
  },
  logfile: {
    kind: 'path',
    group: groups.server,
    example: '/var/log/postgresql/standby.log',
    summary: "where pg_ctl sends the server's output until the server opens its own log",
    detail:
      'If not set, a Debian cluster uses the log that pg_lsclusters shows, which logrotate rotates; any other server uses pitrtools-server.log in pgdata.',
  },
  recovery_min_apply_delay: {
    kind: 'span',
    group: groups.server,
    since: '2.0',
    example: '4h',
    summary:
      'how long this standby waits before it replays a commit, which makes it a delayed standby (9.4 and later)',
    detail:
      '`-S` writes it into the recovery settings. If not set, the standby replays at once, unless its own configuration says something else. See [delayed standby](delayed.md).',
  },
  ssh: commonOptions.ssh,
  rsync: {
    ...serverProgram,
    default: 'rsync',
    example: '/usr/bin/rsync',
    summary: 'rsync on this host',
  },
  rsync_flags: commonOptions.rsync_flags,
  pg_ctl: {
    ...serverProgram,
    default: 'pg_ctl',
    example: '/usr/lib/postgresql/15/bin/pg_ctl',
    summary: 'pg_ctl on this host',
  },
  pg_basebackup: {
    kind: 'program',
    group: groups.programs,
    since: '2.0',
    default: 'pg_basebackup',
    example: '/usr/lib/postgresql/15/bin/pg_basebackup',
    summary: "pg_basebackup on this host, of the primary's version or a later one",
    detail: 'If it is given with a path, psql of the same directory is used, too.',
  },
  r_psql: {
    kind: 'program',
    group: groups.programs,
    default: 'psql',
    example: '/usr/bin/psql',
    summary: 'psql on the primary',
  },
  pg_standby: {
    ...serverProgram,
    example: '/usr/lib/postgresql/8.4/bin/pg_standby',
    usedWhere: { standbyMode: false },
    summary: 'pg_standby on this host; only 8.4 needs it',
  },
  pg_archivecleanup: {
    ...serverProgram,
    example: '/usr/lib/postgresql/15/bin/pg_archivecleanup',
    usedWhere: { hasArchiveCleanupCommand: true },
    summary: 'pg_archivecleanup on this host; if set, the server removes WAL that it no longer needs',
  },
  includepath: commonOptions.includepath,
  use_streaming_replication: {
    kind: 'boolean',
    group: groups.streaming,
    default: 'no',
    summary: 'use streaming replication, and the archive for WAL that cannot be streamed (9.0 and later)',
  },
  repl_db_user: {
    kind: 'text',
    group: groups.streaming,
    example: 'replication',
    requiredBy: ['start-standby'],
    requiredIf: 'use_streaming_replication',
    summary: 'the database role for streaming replication',
  },
  repl_db_password: {
    kind: 'secret',
    group: groups.streaming,
    example: 'changeme',
    summary: 'the password of that role; not needed if .pgpass contains it, or if pg_hba.conf requires none',
    detail: 'If you set it, make the INI file readable only by its owner.',
  },
  sslmode: {
    kind: 'choice',
    choices: ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'],
    group: groups.streaming,
    default: 'prefer',
    summary: 'the sslmode of libpq for streaming replication',
  },
  trigger_file: {
    kind: 'path',
    group: groups.streaming,
    example: '/var/lib/postgresql/pitrtools/cmd_end_recovery',
    summary: 'the file that promotes the standby as soon as it exists (9.0 to 15)',
  },
  keep_streamed_max: {
    ...commonOptions.keep_streamed_max,
    detail:
      'A streaming standby keeps WAL that its archive lacks by a replication slot of its own, `pitrtools_keep` (11 and later). Beyond this size, or if less than twice `max_wal_size` is free, the oldest WAL is given up and a notification says which. 0: none is kept.',
  },
  use_slot: {
    kind: 'boolean',
    group: groups.streaming,
    since: '2.0',
    default: 'no',
    summary:
      'stream by a replication slot on the primary, which keeps the WAL that this standby lacks (9.4 and later)',
    detail:
      'The slot is made before it is needed, and dropped when this standby streams by it no more. `max_slot_wal_keep_size` on the primary must limit what it keeps. See doc/streaming.md.',
  },
  slot_unlimited: {
    kind: 'boolean',
    group: groups.streaming,
    since: '2.0',
    default: 'no',
    summary:
      'use such a slot even if nothing limits what it keeps: then a standby that stays away fills pg_wal of the primary',
    detail: 'Up to 12 PostgreSQL has no such limit.',
  },
  pg_conf: {
    ...readyFile,
    example: '/var/lib/postgresql/pitrtools/etc/pg_conf/postgresql.conf',
    summary: 'the postgresql.conf of the standby',
  },
  pg_hba_conf: {
    ...readyFile,
    example: '/var/lib/postgresql/pitrtools/etc/pg_conf/pg_hba.conf',
    summary: 'the pg_hba.conf of the standby',
  },
  pg_conf_failover: {
    ...readyFile,
    example: '/var/lib/postgresql/pitrtools/etc/pg_conf_failover/postgresql.conf',
    summary: 'the postgresql.conf that the server uses after a failover',
  },
  pg_hba_conf_failover: {
    ...readyFile,
    example: '/var/lib/postgresql/pitrtools/etc/pg_conf_failover/pg_hba.conf',
    summary: 'the pg_hba.conf that the server uses after a failover',
  },
  no_copy_conf: {
    kind: 'boolean',
    group: groups.configuration,
    default: 'off',
    summary: 'make the server read the four files above directly, instead of copies in pgdata',
  },
  recovery_conf: {
    kind: 'path',
    group: groups.configuration,
    default: '%(pgdata)/recovery.conf',
    summary: 'the path of the recovery.conf that is written (up to 11)',
    detail: 'Later versions have no such file: their settings go to postgresql.auto.conf.',
  },
  ...backupOptions,
  failover_probe_timeout: {
    ...limit,
    range: [1, 300],
    default: '5',
    summary: 'seconds within which a failover must determine whether the primary is alive',
  },
  start_timeout: {
    ...limit,
    range: [1, longest],
    default: '120',
    summary: 'seconds within which a server that was started must be in recovery or accept connections',
  },
  wal_timeout: {
    ...limit,
    range: [1, longest],
    default: '120',
    summary: 'seconds within which WAL that a base backup needs must arrive in archivedir',
  },
  base_backup_timeout: {
    ...limit,
    range: [60, 30 * longest],
    default: '86400',
    summary: 'seconds that copying a base backup may take',
  },
  start_command: {
    ...siteCommand,
    example: 'sudo systemctl start postgresql@15-main',
    summary: 'command that starts the server, instead of pg_ctl',
  },
  stop_command: {
    ...siteCommand,
    example: 'sudo systemctl stop postgresql@15-main',
    summary: 'command that stops the server, instead of pg_ctl',
  },
  restart_command: {
    ...siteCommand,
    example: 'sudo systemctl restart postgresql@15-main',
    summary: 'command that restarts the server, instead of pg_ctl',
  },
  promote_command: {
    ...siteCommand,
    example: 'pg_ctlcluster 15 main promote',
    summary: 'command that promotes the server, instead of pg_ctl',
  },
  action_fence: {
    kind: 'shell',
    group: groups.failover,
    since: '2.0',
    example: 'ssh root@power1 poweroff bitarena',
    expects: 'program',
    summary:
      'command that makes sure that the old primary takes no more writes, before a failover promotes this standby; it must exit 0',
    detail:
      "It runs in every failover that takes the primary's role. If it fails, the failover is refused. See doc/failover.md.",
  },
  fence_timeout: {
    kind: 'seconds',
    range: [1, 3600],
    group: groups.failover,
    since: '2.0',
    default: '60',
    summary: 'seconds within which action_fence must end',
  },
  action_failover: {
    kind: 'shell',
    group: groups.failover,
    example: '/var/lib/postgresql/pitrtools/scripts/failover.sh',
    expects: 'program',
    summary: 'command to run after a failover; it must exit 0',
    detail: 'If it fails, the failover has still happened; the exit status shows this.',
  },
  ...drillOptions,
  notify_ok: commonOptions.notify_ok,
  notify_warning: commonOptions.notify_warning,
  notify_critical: commonOptions.notify_critical,
  notify_reminder: commonOptions.notify_reminder,
  ...statusOptions,
  backup_warning_age: {
    kind: 'seconds',
    range: [0, 315_360_000],
    group: statusOptions.disk_warning.group,
    since: '2.0',
    default: '604800',
    summary:
      'seconds after which --status warns of a base backup on which no server was started; 0 for never',
    detail:
      'The default is 7 days. A recovery from such a base backup replays all WAL since. A standby that replays WAL as it comes is as old as that, whatever the age of its base backup.',
  },
  debug: commonOptions.debug,
  ssh_debug: commonOptions.ssh_debug,
  log_format: commonOptions.log_format,
} as const satisfies OptionTable;

/** The section that sends tablespaces elsewhere: its keys and values are paths. */
export const tablespacesSection = 'tablespaces';

/** The actions that `requiredBy` in the table may name. */
export type StandbyAction =
  | 'init'
  | 'ping'
  | 'base-backup'
  | 'start-standby'
  | 'failover'
  | 'start'
  | 'stop'
  | 'start-basebackup'
  | 'stop-basebackup'
  | 'cleanup'
  | 'drill';

export type StandbySettings = SettingsOf<typeof standbyOptions> & {
  /** The place of each of the primary's tablespaces on this host: old path to new path. */
  readonly tablespaces: ReadonlyMap<string, string>;
};
