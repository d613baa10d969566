import { checkFlags } from '../check/arguments.ts';
import type { FlagTable, Usage } from '../help.ts';
import { setupFlags } from '../setup/request.ts';
import { statusFlags } from '../status/arguments.ts';

export const flags = {
  setup: [
    'Set up',
    '--setup',
    'set this host up as the primary: INI files, ssh key, queues; shows what is left to do, and can be repeated',
    '--setup --standby HOST',
    'set this host up as the primary of HOST; repeat it',
  ],
  standby: [
    'Set up',
    '--standby <HOST...>',
    'with --setup: the standbys, each HOST or HOST:PORT (of its sshd)',
  ],
  ...setupFlags,
  init: ['Set up', '-I, --init', 'make the queues, one per standby; can be repeated', '-I'],
  plant: [
    'Set up',
    '--plant <STANDBY>',
    'with -I: mark its archive directory even if WAL was delivered there before',
  ],
  file: ['Run', '-F, --file <PATH>', "archive one WAL file: PostgreSQL's %p", '-F %p'],
  ship: [
    'Run',
    '--ship',
    'ship WAL before archive_command asks for it; for a service',
    '--ship',
    'ship WAL ahead of archive_command; for a service',
  ],
  mayStart: [
    'Run',
    '--may-start',
    'for the service of PostgreSQL: refuse its start if its timeline was left by a failover',
    '--may-start',
    'refuse the start of a server whose timeline was left',
  ],
  patroniCallback: [
    'Run',
    '--patroni-callback <EVENT...>',
    "Patroni's callback: it appends EVENT ROLE SCOPE; leaves a shipper that serves the new role, and returns at once",
  ],
  ...statusFlags,
  live: ['Look', '--live', 'with --status: ask the standbys as well how far they are'],
  ...checkFlags,
  ledger: [
    'Look',
    '--ledger [STANDBY]',
    'show the WAL that was delivered to each standby, and when; with the events that matter beside it',
    '--ledger, --history',
    'show what was delivered, and what was done',
  ],
  audit: [
    'Look',
    '--audit [STANDBY]',
    'compare the WAL that was delivered with the files that each standby has',
    '--audit',
    'ask the standbys whether they still have it',
  ],
  history: [
    'Look',
    '--history',
    'show the changes of roles, abandonments, gaps and base backups, with who and when',
  ],
  digests: ['Look', '--digests', 'with --audit: compare the bytes as well, of WAL that is still here'],
  serve: [
    'Set up',
    '--serve',
    'the forced command of a restricted key in authorized_keys: a standby can make the requests of pitrtools, and nothing else',
  ],
  roles: ['Set up', '--roles', 'with --serve: it can also change the role of the server here'],
  cleanup: ['Run', '--cleanup', 'remove unfinished files of processes that have ended', '--cleanup'],
  flush: [
    'Change roles',
    '--flush',
    'send all queued WAL and, if PostgreSQL is stopped, the WAL that it has not archived',
    '--flush',
    'before a failover: send all WAL that is still here',
  ],
  abandon: [
    'Recover',
    '--abandon <STANDBY>',
    'free the queue of a standby; it will need a new base backup',
    '--abandon STANDBY',
    'free its queue; it will need a new base backup',
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
    'the timeline was not left: have its WAL accepted again',
  ],
} as const satisfies FlagTable;

export const usage = {
  program: 'cmd_archiver',
  synopsis: '-C FILE [ACTION] [--dry-run]',
  description: "Ships PostgreSQL's WAL from the primary to its standbys.",
  flags,
  shared: {
    json: 'with --status, --check, --ledger, --audit or --history',
    dryRun: 'with --setup, --check, --flush, --cleanup, --abandon, --resume or --timeline-restored',
  },
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
