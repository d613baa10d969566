import type { OptionTable } from './option.ts';
import { groups } from './options-common.ts';

const backup = { group: groups.backup, since: '2.0' } as const;

/** The keys of cmd_standby's INI file for the base backup, in the sample's order. */
export const backupOptions = {
  basebackup_method: {
    kind: 'choice',
    choices: ['rsync', 'pg_basebackup'],
    ...backup,
    default: 'rsync',
    summary: 'how -B copies the files: rsync over ssh, or pg_basebackup if ssh to the primary is not allowed',
    detail:
      "With pg_basebackup every query goes directly to the primary's server at master_public_ip: and port:, as repl_db_user: (or user:) with repl_db_password: and sslmode:. See doc/base-backup.md.",
  },
  basebackup_source: {
    kind: 'name',
    ...backup,
    example: 'standby2',
    summary: 'another standby of the same primary to read the files from (9.6 and later)',
    detail: 'A host name or address that ssh can reach. The primary then only starts and ends the backup.',
  },
  basebackup_source_port: {
    kind: 'port',
    ...backup,
    example: '5432',
    summary: 'the port of the server on that standby',
    detail: 'If not set, the value of port: is used.',
  },
  basebackup_source_local_ip: {
    kind: 'text',
    ...backup,
    example: '127.0.0.1',
    summary: 'the address at which psql reaches that server when it runs on that standby itself',
    detail: 'If not set, the value of master_local_ip: is used.',
  },
  rsync_threads: {
    kind: 'integer',
    range: [1, 32],
    group: groups.backup,
    since: '1.4',
    default: '1',
    summary: 'how many rsync processes copy a base backup at the same time',
  },
  basebackup_bwlimit: {
    kind: 'integer',
    range: [0, 100_000_000],
    ...backup,
    default: '0',
    summary:
      'how many KiB per second all rsync processes of a base backup may transfer together; 0 for no limit',
  },
  basebackup_nice: {
    kind: 'integer',
    range: [0, 19],
    ...backup,
    default: '0',
    summary: "the niceness of a base backup's rsync processes, on both hosts",
  },
  basebackup_ionice: {
    kind: 'choice',
    choices: ['off', 'idle', '0', '1', '2', '3', '4', '5', '6', '7'],
    ...backup,
    default: 'off',
    summary: "the disk priority of a base backup's rsync processes, on both hosts",
    detail: 'idle means ionice -c 3. A number means ionice -c 2 -n NUMBER; 7 is the lowest priority.',
  },
  numarchives: {
    kind: 'integer',
    range: [0, 1_000_000],
    group: groups.backup,
    default: '10',
    summary: 'how many segments --cleanup keeps in archivedir at least',
  },
  basebackup_checkpoint: {
    kind: 'choice',
    choices: ['fast', 'spread'],
    ...backup,
    default: 'fast',
    summary:
      'the checkpoint at the start of a base backup: fast, or spread over time to reduce the load on the disks',
    detail: "A spread checkpoint takes about as long as the primary's checkpoint_timeout.",
  },
  progress_interval: {
    kind: 'seconds',
    range: [0, 3600],
    ...backup,
    default: '30',
    summary: 'seconds between two progress lines of a base backup in the log; 0 for no lines',
    detail: 'On a terminal a progress bar is shown instead.',
  },
} as const satisfies OptionTable;
