import type { FlagTable, Usage } from '../help.ts';

export const flags = {
  init: ['Set up', '-I, --init', 'make the queues, one per standby; can be repeated', '-I'],
  plant: [
    'Set up',
    '--plant <STANDBY>',
    'with -I: mark its archive directory although WAL was delivered there before',
  ],
  file: ['Run', '-F, --file <PATH>', "archive one WAL file: PostgreSQL's %p", '-F %p'],
  ship: ['Run', '--ship', 'ship WAL ahead of archive_command; for a service', '--ship'],
  cleanup: ['Run', '--cleanup', 'remove half-made files of dead processes', '--cleanup'],
  flush: [
    'Change roles',
    '--flush',
    'send what the queues hold, and what a stopped PostgreSQL had not archived',
    '--flush',
    'send all WAL that is left here, before a failover',
  ],
  abandon: [
    'Recover',
    '--abandon <STANDBY>',
    'free the queue of a standby; it will need a new base backup',
    '--abandon STANDBY',
  ],
  resume: [
    'Recover',
    '--resume <STANDBY>',
    'send WAL to an abandoned standby again, from now on',
    '--resume STANDBY',
  ],
  timelineRestored: [
    'Recover',
    '--timeline-restored <TIMELINE>',
    'the timeline was not left after all: have all standbys take its WAL again',
    '--timeline-restored N',
  ],
} as const satisfies FlagTable;

export const usage = {
  program: 'cmd_archiver',
  synopsis: '-C FILE [ACTION] [--dry-run]',
  description: "Ships PostgreSQL's WAL from the primary to its standbys.",
  flags,
  shared: { dryRun: 'with --flush, --cleanup, --abandon, --resume or --timeline-restored' },
  foot: [
    '--dry-run: only show what --flush, --cleanup, --abandon and the like would do.',
    "In postgresql.conf: archive_command = '/path/to/cmd_archiver -C FILE -F %p'",
  ],
  more: `
In postgresql.conf:
  archive_mode = on
  archive_command = '/path/to/cmd_archiver -C /path/to/cmd_archiver.ini -F %p'
`,
} as const satisfies Usage<typeof flags>;
