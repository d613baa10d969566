import type { Option } from './option.ts';

export const groups = {
  basics: 'Required keys',
  state: 'State',
  connection: 'Connection',
  programs: 'Programs',
  server: 'Server',
  streaming: 'Streaming replication',
  configuration: "The server's configuration files",
  backup: 'Base backup and archive',
  limits: 'Time limits',
  commands: 'Your own commands that start, stop and promote the server',
  status: 'Limits of --status',
  notification: 'Notifications',
  patroni: 'Patroni',
  failover: 'Failover',
  drill: 'Drill',
  logging: 'Logging',
  legacy: 'Keys of releases 1.3 and 1.4 that have no effect',
} as const;

const status = { group: groups.status, since: '2.0' } as const;

/** Keys that both programs read in the same way. */
export const commonOptions = {
  user: {
    kind: 'name',
    group: groups.connection,
    default: 'postgres',
    summary: 'the system user to log in as on the other host',
  },
  ssh: {
    kind: 'program',
    group: groups.programs,
    default: 'ssh',
    example: '/usr/bin/ssh',
    expects: 'program',
    summary: 'ssh on this host, followed by flags if needed (such as -p 2222)',
    detail: 'These flags override those of pitrtools.',
  },
  rsync_flags: {
    kind: 'rsync-flags',
    group: groups.programs,
    default: '-z',
    summary: 'extra flags for rsync',
    detail: 'If empty, no flags are added. Flags that would lose or falsify data are refused: see below.',
  },
  includepath: {
    kind: 'search-path',
    group: groups.programs,
    since: '1.4',
    default: '',
    example: '/usr/bin:/usr/local/bin',
    expects: 'directory',
    summary: 'directories that are searched before PATH for programs that are given without a path',
    detail: 'They are separated by colons or commas.',
  },
  dbname: {
    kind: 'text',
    group: groups.server,
    since: '2.0',
    example: 'postgres',
    summary: 'the database to log in to on the server of this host',
    detail: 'If not set, it is postgres, or template1 if there is no database postgres.',
  },
  keep_streamed_max: {
    kind: 'size',
    group: groups.streaming,
    since: '2.0',
    default: '10GB',
    summary:
      'how much WAL pg_wal may keep for the archives of the standbys, beyond what the server itself needs',
  },
  notify_ok: {
    kind: 'shell',
    group: groups.notification,
    example: 'echo OK',
    summary: 'command to run when a problem is over',
    detail:
      'The message is appended as the last argument; environment variables whose names begin with PITRTOOLS_ contain the details, and standard input has all of it as JSON.',
  },
  notify_warning: {
    kind: 'shell',
    group: groups.notification,
    example: 'echo WARNING',
    summary: 'command to run when something needs attention',
  },
  notify_critical: {
    kind: 'shell',
    group: groups.notification,
    example: 'echo CRITICAL',
    summary: 'command to run when data or the ability to fail over is in danger',
  },
  notify_reminder: {
    kind: 'seconds',
    range: [0, 2_678_400],
    group: groups.notification,
    since: '2.0',
    default: '3600',
    summary: 'seconds between reminders while a problem lasts; 0 for no reminders',
  },
  debug: {
    kind: 'boolean',
    group: groups.logging,
    default: 'off',
    summary: 'log each step and each command',
  },
  ssh_debug: {
    kind: 'boolean',
    group: groups.logging,
    default: 'off',
    summary: 'log the debug output of ssh (this is a lot)',
  },
  log_format: {
    kind: 'choice',
    choices: ['text', 'json'],
    group: groups.logging,
    since: '2.0',
    default: 'text',
    summary: 'text for people, or json for programs (one object per line)',
  },
} as const satisfies Record<string, Option>;

/** The limits of --status, for both programs. */
export const statusOptions = {
  behind_warning_size: {
    kind: 'size',
    ...status,
    default: '64MB',
    summary: 'how much WAL may wait before --status warns, if it also waits for behind_warning_time',
    detail:
      'Both limits must be reached: an idle server writes a segment now and then, and a busy one a thousand in a minute.',
  },
  behind_warning_time: {
    kind: 'seconds',
    range: [0, 31_536_000],
    ...status,
    default: '300',
    summary: 'how many seconds WAL may wait before --status warns, if it is also behind_warning_size',
  },
  behind_critical_size: {
    kind: 'size',
    ...status,
    default: '1GB',
    summary: 'the same for a critical finding',
  },
  behind_critical_time: {
    kind: 'seconds',
    range: [0, 31_536_000],
    ...status,
    default: '3600',
    summary: 'the same for a critical finding',
  },
  disk_warning: {
    kind: 'integer',
    range: [1, 100],
    ...status,
    default: '85',
    summary: 'the percentage of a file system in use from which --status warns',
  },
  disk_critical: {
    kind: 'integer',
    range: [1, 100],
    ...status,
    default: '95',
    summary: 'the same for a critical finding',
  },
  disk_full_warning: {
    kind: 'seconds',
    range: [0, 31_536_000],
    ...status,
    default: '86400',
    summary: 'seconds until a file system is full, at its present rate, below which --status warns',
  },
  disk_full_critical: {
    kind: 'seconds',
    range: [0, 31_536_000],
    ...status,
    default: '7200',
    summary: 'the same for a critical finding',
  },
} as const satisfies Record<string, Option>;
