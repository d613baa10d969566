import type { OptionTable, SettingsOf } from './option.ts';
import { commonOptions, groups, statusOptions } from './options-common.ts';

const archivePlace = {
  kind: 'path',
  group: groups.basics,
  example: '/var/lib/postgresql/archive',
  summary: "the directory for WAL on the standby: the standby's archivedir",
} as const;
const shipping = { group: 'Shipping and queues', since: '2.0' } as const;
const noEffect = { kind: 'text', group: groups.legacy, since: '1.4' } as const;

/** Every key of cmd_archiver's INI file, in the sample's order. */
export const archiverOptions = {
  pgdata: {
    kind: 'path',
    group: groups.basics,
    required: true,
    example: '/var/lib/postgresql/15/main',
    expects: 'directory',
    summary: "the primary's data directory",
  },
  slaves: {
    kind: 'standby-names',
    group: groups.basics,
    required: true,
    example: 'bitarena-clone',
    summary: 'host names or IP addresses of the standbys, separated by commas',
    detail:
      'Each name is also the name of a queue directory in l_archivedir. A section of the same name can contain settings for that standby alone.',
  },
  r_archivedir: { ...archivePlace, required: true },
  l_archivedir: {
    kind: 'path',
    group: groups.basics,
    required: true,
    example: '/var/lib/postgresql/archive',
    summary:
      'the directory on this host for the WAL of standbys that cannot be reached, with one queue directory per standby',
  },
  standby_ini: {
    kind: 'path',
    group: groups.basics,
    since: '2.0',
    example: '/etc/cmd_standby.ini',
    summary:
      "cmd_standby's INI file on this host, if it was a standby: its archivedir holds WAL for the others",
    detail:
      'If not set, the usual one beside this file. A standby that lacks WAL which pg_wal holds no more gets it from there. `--serve` asks cmd_standby with it, too.',
  },
  relay: {
    kind: 'boolean',
    group: groups.basics,
    since: '2.0',
    default: 'no',
    summary:
      'whether this host, while it is itself a standby, feeds those in slaves from its archivedir (cascading)',
    detail:
      '`cmd_archiver --ship` then runs on a standby as well; `standby_ini` says which archivedir that is. See [cascading](cascading.md).',
  },
  patroni_url: {
    kind: 'url',
    group: groups.patroni,
    since: '2.0',
    example: 'http://127.0.0.1:8008',
    summary: "the REST API of this host's Patroni, if Patroni runs the server here",
    detail:
      "WAL is delivered only while Patroni says that this host holds the leader's lock, and is queued otherwise. The standbys are informed of every timeline that the history of this server has left. See [Patroni](patroni.md).",
  },
  state: {
    kind: 'choice',
    choices: ['online', 'offline'],
    group: groups.state,
    default: 'online',
    summary: 'if offline, archive_command fails at once and PostgreSQL keeps its WAL',
  },
  start_unseen: {
    kind: 'choice',
    choices: ['allow', 'refuse'],
    group: groups.state,
    since: '2.0',
    default: 'allow',
    summary:
      'whether --may-start allows PostgreSQL to start if no standby can say whether its timeline was left',
    detail:
      'If it is allowed, `notify_critical` is run: after a power failure of the site a server must start all the same.',
  },
  start_probe_timeout: {
    kind: 'seconds',
    range: [1, 300],
    group: groups.state,
    since: '2.0',
    default: '10',
    summary: 'seconds within which the standbys must answer --may-start',
  },
  user: commonOptions.user,
  ssh_timeout: {
    kind: 'seconds',
    range: [1, 3600],
    group: groups.connection,
    default: '10',
    summary: 'how many seconds a standby may take to answer before its WAL is queued',
  },
  ssh: commonOptions.ssh,
  rsync_bin: {
    kind: 'program',
    group: groups.programs,
    default: 'rsync',
    example: '/usr/bin/rsync',
    expects: 'program',
    summary: 'rsync on this host',
  },
  rsync_flags: commonOptions.rsync_flags,
  rsync_version: {
    kind: 'integer',
    range: [2, 3],
    group: groups.programs,
    default: '3',
    summary: '2 if either end has an rsync older than 3.0, otherwise 3',
  },
  includepath: commonOptions.includepath,
  psql: {
    kind: 'program',
    group: groups.programs,
    since: '2.0',
    default: 'psql',
    example: '/usr/bin/psql',
    summary: 'psql on this host, which is used only to query the server',
  },
  port: {
    kind: 'port',
    group: groups.server,
    since: '2.0',
    example: '5432',
    summary: "the port of this host's server, which is queried about its archiving",
    detail: 'If not set, the port in postmaster.pid is used.',
  },
  dbname: {
    ...commonOptions.dbname,
    summary: 'the database to log in to for the queries about archiving',
    detail: 'If not set, it is postgres, or template1 if there is no database postgres.',
  },
  archive_stall: {
    kind: 'seconds',
    range: [0, 86_400],
    ...shipping,
    default: '180',
    summary:
      'seconds after which a notification is sent if PostgreSQL archives none of the shipped segments; 0 for no notification',
    detail:
      'The shipper works ahead of archive_command. If PostgreSQL cannot run archive_command (a path that does not exist, status 127), the WAL reaches the standbys, but still collects in pg_wal.',
  },
  queue_after: {
    kind: 'seconds',
    range: [0, 3600],
    ...shipping,
    default: '1',
    summary: 'how many seconds PostgreSQL waits for a standby before the segment is queued on this host',
    detail: 'PostgreSQL does not wait for a standby that is known to be in trouble or behind.',
  },
  queue_max: {
    kind: 'queue-limit',
    ...shipping,
    example: '50GB',
    summary: 'the limit of one queue: a size, or a number of files',
    detail: 'If not set, only the free space of the file system limits it.',
  },
  queue_min_free: {
    kind: 'size',
    ...shipping,
    example: '5GB',
    summary: 'free space that the queues must leave on the file system of l_archivedir',
  },
  queue_full: {
    kind: 'choice',
    choices: ['block', 'abandon'],
    ...shipping,
    default: 'block',
    summary: 'what happens when a queue is full',
    detail:
      '`block`: archive_command fails and PostgreSQL keeps its WAL. `abandon`: a standby that has accepted nothing for `ssh_timeout` seconds is abandoned: its queue is freed, and it needs a new base backup.',
  },
  queue_compress: {
    kind: 'boolean',
    ...shipping,
    default: 'no',
    summary: 'whether segments are compressed in the queues, by zstd on this host',
    detail:
      'A queue then takes about a tenth of the space, and has files named SEGMENT.zst. A segment that cannot be compressed is queued as it is. See [compressed queues](shipping.md#compressed-queues).',
  },
  ship_bwlimit: {
    kind: 'size',
    ...shipping,
    example: '20MB',
    summary: 'the most data that rsync sends to one standby per second; 0 for no limit',
  },
  ship_nice: {
    kind: 'integer',
    range: [0, 19],
    ...shipping,
    default: '0',
    summary: 'niceness of the shipper, its ssh and its rsync; 19 is the lowest priority',
  },
  keep_streamed_max: {
    ...commonOptions.keep_streamed_max,
    ...shipping,
    detail:
      'A standby that was promoted holds WAL in pg_wal by the replication slot `pitrtools_keep` until every standby has caught up. Beyond this size, or if less than twice `max_wal_size` is free, the shipper drops the slot and a notification says so.',
  },
  notify_ok: commonOptions.notify_ok,
  notify_warning: commonOptions.notify_warning,
  notify_critical: commonOptions.notify_critical,
  notify_reminder: commonOptions.notify_reminder,
  ...statusOptions,
  debug: commonOptions.debug,
  ssh_debug: commonOptions.ssh_debug,
  log_format: commonOptions.log_format,
  queue_user: {
    ...noEffect,
    example: 'postgres',
    summary: 'the user of the queue process of 1.4',
    legacy: 'there is no separate queue process; everything runs as the user that runs cmd_archiver',
  },
  queue_wait: {
    ...noEffect,
    example: '5',
    summary: 'the pause between deliveries of 1.4',
    legacy: 'WAL is sent at once; cmd_archiver --flush sends what is queued',
  },
  pgcontroldata: {
    kind: 'text',
    group: groups.legacy,
    example: '/usr/lib/postgresql/8.4/bin/pg_controldata',
    summary: 'the program pg_controldata of 1.3 and 1.4, which never called it',
    legacy: 'pg_control is read without a program',
  },
  max_queue_workers: {
    ...noEffect,
    example: '1',
    summary: 'the number of delivery processes of 1.4',
    legacy: 'WAL is sent to all standbys at the same time, so no standby waits for another',
  },
} as const satisfies OptionTable;

/** The keys that a standby's own section may set; all but `host` fall back to [DEFAULT]. */
export const standbyTargetOptions = {
  host: {
    kind: 'name',
    group: groups.connection,
    since: '2.0',
    example: '192.168.3.2',
    summary: 'host name or IP address to connect to',
  },
  user: archiverOptions.user,
  ssh: archiverOptions.ssh,
  ssh_timeout: archiverOptions.ssh_timeout,
  rsync_flags: archiverOptions.rsync_flags,
  r_archivedir: archivePlace,
} as const satisfies OptionTable;

/** One standby to ship to, with the values that its own section overrides. */
export type StandbyTarget = Omit<SettingsOf<typeof standbyTargetOptions>, 'host' | 'r_archivedir'> & {
  readonly name: string;
  readonly host: string;
  readonly r_archivedir: string;
};

export type ArchiverSettings = SettingsOf<typeof archiverOptions> & {
  /** In the order of `slaves`. */
  readonly standbys: readonly StandbyTarget[];
  /** The file was written for release 1.4, which kept WAL in l_archivedir itself. */
  readonly hasKeysOf14: boolean;
};
