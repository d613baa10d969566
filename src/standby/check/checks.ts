import type { Checks } from '../../check/check.ts';
import { checkNode } from '../../check/node.ts';
import type { StandbyCheck } from './context.ts';
import {
  checkArchive,
  checkDataDirectory,
  checkDrill,
  checkInherited,
  checkIniFile,
  checkLinks,
  checkMissing,
  checkOwnPaths,
  checkRestore,
  checkSchedule,
  checkSpace,
  checkSwitchover,
} from './local.ts';
import {
  checkClock,
  checkHelpers,
  checkHosts,
  checkLibrary,
  checkLimits,
  checkPlace,
  checkRewind,
  checkRoom,
  checkSql,
  checkSsh,
  checkStreaming,
  checkVersions,
} from './primary.ts';

/** All checks of cmd_standby --check, in the order in which they are shown. doc/check.md has the same table. */
export const standbyChecks = {
  node: { what: 'Node.js is recent enough', run: checkNode },
  ini: { what: 'nobody else can change the INI file, or read a password in it', run: checkIniFile },
  paths: { what: 'every path and program in the INI file exists on this host', run: checkOwnPaths },
  pgdata: {
    what: 'pgdata exists and is ours; which cluster it is, and what its server does',
    run: checkDataDirectory,
  },
  archive: {
    what: 'archivedir is ours, is of the same cluster as pgdata, and has hard links',
    run: checkArchive,
  },
  links: { what: 'nobody else owns a symbolic link on the way to pgdata and archivedir', run: checkLinks },
  space: { what: 'pgdata and archivedir have space and inodes', run: checkSpace },
  restore: {
    what: '`restore_command` fetches the newest segment of archivedir, into a directory of its own; it is whole and of this cluster',
    run: checkRestore,
  },
  missing: { what: 'no WAL is missing from the restartpoint on', run: checkMissing },
  inherited: {
    what: 'the `archive_command` that this server would use after a promotion is not that of the primary',
    run: checkInherited,
  },
  drill: {
    what: 'the last drill of each kind has passed, and that of this standby is not older than `drill_max_age`',
    run: checkDrill,
  },
  schedule: { what: 'which service or cron entry calls `-P` and `--cleanup`', run: checkSchedule },
  hosts: { what: 'the primary is another host', run: checkHosts },
  ssh: {
    what: "the primary's name, host key, our key there, whether a forced command limits it, and a login that prints nothing",
    run: checkSsh,
  },
  sql: {
    what: 'psql there (`r_psql`), the login (pg_hba.conf, role), and a server that is a primary',
    run: checkSql,
  },
  place: {
    what: 'system identifiers, `pgversion` and the release of the programs here agree with the primary, and no directory here is its own',
    run: checkPlace,
  },
  helpers: { what: 'the helper functions are installed', run: checkHelpers },
  streaming: {
    what: 'the primary lets the role of the INI file replicate from here (pg_hba.conf, REPLICATION, password)',
    run: checkStreaming,
  },
  limits: { what: 'no setting is lower here than a hot standby needs', run: checkLimits },
  room: { what: 'a base backup fits here, if there is none yet', run: checkRoom },
  versions: { what: 'rsync and cmd_standby on both hosts', run: checkVersions },
  clock: { what: "the primary's clock agrees with this host's", run: checkClock },
  library: {
    what: 'both hosts have the same C library and (from 10) ICU library, and the collations of the databases have the version of their indexes (from 15)',
    run: checkLibrary,
  },
  rewind: { what: 'whether pg_rewind could be used here after a failover', run: checkRewind },
  switchover: { what: '`--switchover` would be possible now', run: checkSwitchover },
} as const satisfies Checks<StandbyCheck>;
