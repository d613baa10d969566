import type { OptionTable } from './option.ts';
import { groups } from './options-common.ts';

const drill = { group: groups.drill, since: '2.0' } as const;
const longest = 86_400;

/** The keys of cmd_standby's INI file for --drill, in the sample's order. */
export const drillOptions = {
  drill_dir: {
    kind: 'path',
    ...drill,
    example: '/var/lib/postgresql/drill',
    requiredBy: ['drill'],
    summary: 'the directory in which --drill makes its copy of the standby; nothing else may be in it',
    detail: 'It is made if it does not exist. See [drill](drill.md).',
  },
  drill_may_stop: {
    kind: 'boolean',
    ...drill,
    default: 'off',
    summary: 'stop a standby for its copy, if no base backup of it can be made while it runs',
    detail:
      'That is a standby with `hot_standby = off`, or one before 9.6. It is started again as soon as its files are copied.',
  },
  drill_snapshot: {
    kind: 'shell',
    ...drill,
    example: '/etc/pitrtools/drill-snapshot',
    expects: 'program',
    summary: 'command that makes, mounts and removes one atomic snapshot of the standby, in place of a copy',
    detail: 'See [drill](drill.md) for what it must do and say.',
  },
  drill_limit: {
    kind: 'size',
    ...drill,
    example: '200GB',
    summary: 'how much space the copy of a drill may take',
    detail: 'If not set, all that is free but for drill_reserve.',
  },
  drill_reserve: {
    kind: 'size',
    ...drill,
    default: '1GB',
    summary: 'how much space a drill leaves free for the standby',
    detail: 'A drill that finds less on a file system that it shares with the standby gives up.',
  },
  drill_time: {
    kind: 'seconds',
    range: [1, 30 * longest],
    ...drill,
    default: '14400',
    summary: 'seconds that a drill may take',
  },
  drill_nice: {
    kind: 'integer',
    range: [0, 19],
    ...drill,
    default: '19',
    summary:
      'the niceness of all that a drill runs, the server on its copy included, and of its sessions; above 0, a drill keeps to half of the processors',
  },
  drill_ionice: {
    kind: 'choice',
    choices: ['off', 'idle', '0', '1', '2', '3', '4', '5', '6', '7'],
    ...drill,
    default: 'idle',
    summary: 'the disk priority of all that a drill runs',
    detail: 'As basebackup_ionice.',
  },
  drill_rate: {
    kind: 'size',
    ...drill,
    example: '50MB',
    summary: 'how much a drill copies of the standby per second, on the average; 0 for no limit',
    detail:
      'A portion of 32 MB, or one larger file, is copied and flushed at once. A copy for which the standby is stopped has no limit; a base backup of the primary has basebackup_bwlimit.',
  },
  drill_preload: {
    kind: 'text',
    ...drill,
    example: 'pg_stat_statements',
    summary: 'shared_preload_libraries of the server on the copy',
    detail:
      'If not set, none is loaded, because a library may reach other hosts. Name those without which the server does not replay its WAL.',
  },
  drill_sql: {
    kind: 'path',
    ...drill,
    example: '/etc/pitrtools/drill.sql',
    expects: 'file',
    summary: 'SQL statements that a drill runs on its copy: each must give true',
  },
  drill_max_age: {
    kind: 'seconds',
    range: [1, 315_360_000],
    ...drill,
    example: '172800',
    summary:
      'seconds after which --status and --check warn that no drill has passed; if not set, they only warn of one that failed',
    detail: 'Drills with --from-backup do not count: they say nothing of the files of this standby.',
  },
} as const satisfies OptionTable;
