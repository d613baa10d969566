import type { Checks } from '../../check/check.ts';
import { checkNode } from '../../check/node.ts';
import type { ArchiverCheck } from './context.ts';
import { checkDelivery } from './delivery.ts';
import {
  checkDataDirectory,
  checkIniFile,
  checkLanes,
  checkOwners,
  checkOwnPaths,
  checkShipper,
  checkSpace,
} from './local.ts';
import { checkArchiving, checkRestart, checkRole, checkServer, checkTimeout } from './server.ts';
import {
  checkArchives,
  checkClocks,
  checkHosts,
  checkLinks,
  checkSpaceThere,
  checkSsh,
  checkVersions,
} from './standbys.ts';

/** All checks of cmd_archiver --check, in the order in which they are shown. doc/check.md has the same table. */
export const archiverChecks = {
  node: { what: 'Node.js is recent enough', run: checkNode },
  ini: { what: 'nobody else can change the INI file', run: checkIniFile },
  paths: { what: 'every path and program in the INI file exists on this host', run: checkOwnPaths },
  owner: { what: 'pgdata and l_archivedir belong to the user who runs this', run: checkOwners },
  pgdata: {
    what: 'pgdata is a cluster, and the one to which -I bound l_archivedir',
    run: checkDataDirectory,
  },
  server: { what: 'the server in pgdata runs, and answers by psql', run: checkServer },
  role: { what: 'it is a primary', run: checkRole },
  archiving: {
    what: 'it archives by this program and this INI file, and the program can be run',
    run: checkArchiving,
  },
  timeout: { what: 'how long WAL may wait for a full segment (`archive_timeout`)', run: checkTimeout },
  space: { what: 'pg_wal and l_archivedir have space and inodes', run: checkSpace },
  lanes: {
    what: 'no standby is abandoned, behind, or lacks WAL, and no queue is left over',
    run: checkLanes,
  },
  shipper: { what: 'the shipper runs; which service or cron entry starts it', run: checkShipper },
  restart: {
    what: 'how systemd starts the server again, and whether it asks `--may-start`',
    run: checkRestart,
  },
  hosts: { what: 'no standby is this very host', run: checkHosts },
  ssh: {
    what: "each standby's name, host key, our key there, whether a forced command limits it, and a login that prints nothing",
    run: checkSsh,
  },
  archive: {
    what: 'its archivedir is of this cluster and not of a promoted standby, can be written, and has hard links',
    run: checkArchives,
  },
  links: {
    what: 'nobody else owns a symbolic link on the way to pg_wal, l_archivedir and its archivedir',
    run: checkLinks,
  },
  versions: {
    what: 'rsync and this program on both hosts, and the PostgreSQL of its base backup',
    run: checkVersions,
  },
  room: { what: 'its archivedir has space and inodes', run: checkSpaceThere },
  clock: { what: "its clock agrees with this host's", run: checkClocks },
  delivery: {
    what: 'a segment that the server ends now is archived, is archived a second time without harm, and arrives whole',
    run: checkDelivery,
  },
} as const satisfies Checks<ArchiverCheck>;
