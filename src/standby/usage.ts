import { forceNames } from './steps/force.ts';

/** What `cmd_standby --help` says. */

export const description =
  'Makes, runs and promotes a PostgreSQL standby that is fed by cmd_archiver. To be run on the standby, by the user who owns its data directory. Without an action it checks the configuration.';

export const optionTexts = {
  config: 'the INI file',
  init: 'make the directories of a standby and mark its archive',
  ping: 'ask whether the master is alive; the exit status tells',
  base: "make a base backup of the master in this host's pgdata",
  verify:
    'with -B: check every page of the copy by its checksum; alone: those of a base backup that was not started yet',
  backupInfo: 'show what is known of the base backup in pgdata',
  standby: 'start the server as a warm or hot standby',
  failover: 'fail over: make this standby the production server (999 is a safety catch)',
  recover: 'with -F999: recover to this moment instead of to the end of the WAL',
  targetTime: 'the same as -R',
  targetXid: 'with -F999: recover to the end of this transaction',
  targetLsn: 'with -F999: recover to this location in the WAL (from PostgreSQL 10)',
  targetName: 'with -F999: recover to the point that pg_create_restore_point() named (from 9.1)',
  targetImmediate: 'with -F999: stop as soon as the base backup is consistent (from 9.4)',
  targetExclusive: 'stop just before the time, transaction or LSN, not just after it',
  targetTimeline: 'follow this timeline: a number, latest (the default), or current, that of the base backup',
  targetAction: 'at the target: promote (the default), pause (from 9.1) or shutdown (from 9.5)',
  action:
    'start, stop: the server on this host; start_basebackup, stop_basebackup: backup mode of the master (to PostgreSQL 14)',
  wal: 'list the WAL in archivedir by timeline, its gaps, and what can be recovered to',
  cleanup: 'remove the WAL from archivedir that nothing here needs any more',
  dryRun: 'show the steps of the action and change nothing',
  force: 'go on where the action would refuse, for the reasons that are named below, or for all of them',
  json: 'with -B, --verify or --backup-info: answer with one JSON object on standard output',
  version: 'show the version of this program',
  help: 'show this text',
} as const;

const nameWidth = Math.max(...Object.keys(forceNames).map(({ length }) => length)) + 2;

const forceTexts = Object.entries(forceNames)
  .map(([name, text]) => `  ${name.padEnd(nameWidth)}${text}`)
  .join('\n');

export const examples = `
Making a standby:
  cmd_standby -C /etc/cmd_standby.ini -I
  cmd_standby -C /etc/cmd_standby.ini -B
  cmd_standby -C /etc/cmd_standby.ini -S

When the master has died:
  cmd_standby -C /etc/cmd_standby.ini -P
  cmd_standby -C /etc/cmd_standby.ini -F999

Back to a moment, on a standby that was never started with -S:
  cmd_standby -C /etc/cmd_standby.ini -F999 -R '2008-05-28 11:00:38.059389'
  cmd_standby -C /etc/cmd_standby.ini --wal
  cmd_standby -C /etc/cmd_standby.ini -F999 -R '2008-05-28 11:00:30' --target-action pause

From cron:
  cmd_standby -C /etc/cmd_standby.ini --cleanup

--force=NAME,NAME overrules what is named, and --force all of it:
${forceTexts}

Exit status: 0 success, 1 failure, 2 command line, 3 configuration, 4 refused and nothing changed,
5 failover done but action_failover failed, 6 stopped by a signal.
`;
