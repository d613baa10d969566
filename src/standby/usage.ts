import { checkFlags } from '../check/arguments.ts';
import type { FlagTable, Usage } from '../help.ts';
import { setupFlags } from '../setup/request.ts';
import { statusFlags } from '../status/arguments.ts';
import { forceNames } from './steps/force.ts';

export const flags = {
  setup: [
    'Set up',
    '--setup',
    'set this host up as a standby: INI files, ssh key, role, archive; shows what is left to do, and can be repeated',
  ],
  primary: ['Set up', '--primary <HOST>', 'with --setup: the primary, HOST or HOST:PORT (of its sshd)'],
  ...setupFlags,
  init: [
    'Set up',
    '-I, --init',
    'make the directories of a standby and mark its archive',
    '--setup, -I',
    'set this host up as a standby; make its archive',
  ],
  base: ['Set up', '-B, --base', "make a base backup of the master in this host's pgdata", '-B'],
  verify: [
    'Set up',
    '--verify',
    'with -B: check every page of the copy by its checksum; alone: check a base backup on which no server was started yet',
    '--verify',
    'with -B, or alone: check the checksums of the copy',
  ],
  standby: ['Run', '-S, --standby', 'start the server as a warm or hot standby', '-S'],
  action: [
    'Run',
    '-A, --action <WHAT>',
    'start, stop: the server on this host; start_basebackup, stop_basebackup: backup mode of the master (to PostgreSQL 14)',
    '-A start, -A stop',
    'start or stop the server on this host',
  ],
  cleanup: ['Run', '--cleanup', 'remove archived WAL that nothing here needs any more', '--cleanup'],
  ping: [
    'Look',
    '-P, --ping',
    'check whether the master is alive; see the exit status',
    '-P, --status',
    'check the master; show the state of everything',
  ],
  ...statusFlags,
  status: [
    'Look',
    '--status',
    'show the state of this standby, its master and the other standbys, each trouble, and what a failover would lose now',
  ],
  backupInfo: ['Look', '--backup-info', 'show what is known of the base backup in pgdata', '--backup-info'],
  wal: [
    'Look',
    '--wal',
    'list the archived WAL, its gaps, possible targets',
    '--wal, --history',
    'list the archived WAL; show what was done here',
  ],
  history: [
    'Look',
    '--history',
    'show the changes of roles and the base backups on this host, with who and when',
  ],
  ...checkFlags,
  failover: [
    'Change roles',
    '-F, --failover <999>',
    'fail over: make this standby the production server (the number 999 prevents mistakes)',
    '-F999, --drill',
    'fail over: make this standby the primary; rehearse it',
  ],
  drill: [
    'Change roles',
    '--drill',
    'rehearse a failover on a copy of this standby, while the standby goes its way: report, then discard the copy',
  ],
  deep: [
    'Change roles',
    '--deep',
    'with --drill: check all tables and indexes of the copy by pg_amcheck (from 14)',
  ],
  fromBackup: [
    'Change roles',
    '--from-backup',
    'with --drill: recover a new base backup of the master from the archive alone, not a copy of this standby',
  ],
  switchover: [
    'Change roles',
    '--switchover',
    'change roles with a living master: stop it cleanly, make this standby the primary, and the old primary its standby',
    '--switchover',
    'change roles with a living master',
  ],
  grace: [
    'Change roles',
    '--grace <SECONDS>',
    "with --switchover: how long the master's open transactions may take to end; then they are ended (0 by default)",
  ],
  takeRole: [
    'Change roles',
    '--take-role',
    'with -F999: inform the other standbys that the old timeline was left, even with a target or beside a living master',
  ],
  follow: [
    'Change roles',
    '--follow <HOST>',
    'make this standby follow another primary, HOST or HOST:PORT, and change the INI file',
    '--follow HOST',
    'make this standby follow another primary',
  ],
  rejoin: [
    'Change roles',
    '--rejoin [HOST]',
    'make this former primary a standby of the new one, HOST or HOST:PORT: as it is, by pg_rewind, or by a base backup',
    '--rejoin HOST',
    'make this former primary a standby of the new one',
  ],
  recover: [
    'Recover',
    '-R, --recover <TIMESTAMP>',
    'with -F999: recover to this moment, not to the end of the WAL',
    '-F999 -R TIMESTAMP',
    'recover to this moment; also --target-…, --pause-before',
  ],
  pauseBefore: [
    'Recover',
    '--pause-before <TIME>',
    "recover a delayed (or cold) standby to just before this moment, and pause there; TIME may be a time of day: '11:00'",
  ],
  targetTime: ['Recover', '--target-time <TIMESTAMP>', 'the same as -R'],
  targetXid: ['Recover', '--target-xid <NUMBER>', 'with -F999: recover to the end of this transaction'],
  targetLsn: [
    'Recover',
    '--target-lsn <LSN>',
    'with -F999: recover to this location in the WAL (from PostgreSQL 10)',
  ],
  targetName: [
    'Recover',
    '--target-name <NAME>',
    'with -F999: recover to the point that pg_create_restore_point() named (from 9.1)',
  ],
  targetImmediate: [
    'Recover',
    '--target-immediate',
    'with -F999: stop as soon as the base backup is consistent (from 9.4)',
  ],
  targetExclusive: [
    'Recover',
    '--target-exclusive',
    'stop just before the time, transaction or LSN, not just after it',
  ],
  targetTimeline: [
    'Recover',
    '--target-timeline <TIMELINE>',
    'follow this timeline: a number, latest (the default), or current, that of the base backup',
  ],
  targetAction: [
    'Recover',
    '--target-action <WHAT>',
    'at the target: promote (the default), pause (from 9.1) or shutdown (from 9.5)',
  ],
  patroniReplica: [
    'Set up',
    '--patroni-replica',
    'an entry of create_replica_methods: Patroni appends the rest; makes the base backup, and leaves the server stopped',
  ],
  patroniPrePromote: [
    'Change roles',
    '--patroni-pre-promote',
    "Patroni's pre_promote: brings WAL that only other standbys have; fails if this server must not be promoted",
  ],
  // For bin/cmd_standby itself, as the server's restore_command.
  restoreTrouble: ['hidden', '--restore-trouble <MESSAGE>', ''],
  restoreGood: ['hidden', '--restore-good', ''],
  // For bin/cmd_standby itself, as the server's archive_cleanup_command.
  restartpoint: ['hidden', '--restartpoint <SEGMENT>', ''],
  // For the other hosts of the cluster: see src/verbs.
  serve: [
    'Set up',
    '--serve [VERB]',
    'the forced command of a restricted key in authorized_keys: the other hosts can make the requests of pitrtools, and nothing else',
  ],
  roles: ['Set up', '--roles', 'with --serve: they can also change the role of the server here'],
} as const satisfies FlagTable;

const nameWidth = Math.max(...Object.keys(forceNames).map(({ length }) => length)) + 2;

const forceTexts = Object.entries(forceNames)
  .map(([name, text]) => `  ${name.padEnd(nameWidth)}${text}`)
  .join('\n');

const more = `
Making a standby:
  cmd_standby -C /etc/cmd_standby.ini -I
  cmd_standby -C /etc/cmd_standby.ini -B
  cmd_standby -C /etc/cmd_standby.ini -S

Changing roles with a living master:
  cmd_standby -C /etc/cmd_standby.ini --switchover --dry-run
  cmd_standby -C /etc/cmd_standby.ini --switchover

When the master has died:
  cmd_standby -C /etc/cmd_standby.ini -P
  cmd_standby -C /etc/cmd_standby.ini -F999

Point-in-time recovery, on a standby that was never started with -S:
  cmd_standby -C /etc/cmd_standby.ini -F999 -R '2008-05-28 11:00:38.059389'
  cmd_standby -C /etc/cmd_standby.ini --wal
  cmd_standby -C /etc/cmd_standby.ini -F999 -R '2008-05-28 11:00:30' --target-action pause

A table was dropped at 11:05, and this is a delayed standby (recovery_min_apply_delay):
  cmd_standby -C /etc/cmd_standby.ini --pause-before 11:05
  cmd_standby -C /etc/cmd_standby.ini -F999

From cron:
  cmd_standby -C /etc/cmd_standby.ini --cleanup
  cmd_standby -C /etc/cmd_standby.ini --drill
  cmd_standby -C /etc/cmd_standby.ini --drill --from-backup

--force=NAME,NAME overrules the named refusals, --force all of them:
${forceTexts}

Point-in-time recovery, with any --target-… in place of -R:
  cmd_standby -C /etc/cmd_standby.ini -F999 -R '2008-05-28 11:00:38.059389'

Exit status: 0 success, 1 failure, 2 command line, 3 configuration, 4 refused and nothing changed,
5 failover done but action_failover failed, 6 stopped by a signal.
`;

export const usage = {
  program: 'cmd_standby',
  synopsis: '-C FILE [ACTION] [--dry-run] [--force[=NAMES]] [--json]',
  description: 'Makes, runs and promotes a PostgreSQL standby that is fed by cmd_archiver.',
  flags,
  shared: {
    dryRun: 'with any action but --serve, --patroni-pre-promote and --prometheus FILE',
    force: 'for the reasons that are named below, or for all of them',
    json: 'with -B, --verify, --backup-info, --status, --check, --history and --drill',
  },
  foot: ['--dry-run shows the steps of an action, --force[=NAMES] overrules its refusals.'],
  more,
} as const satisfies Usage<typeof flags>;
