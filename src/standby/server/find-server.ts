import type { Postmaster } from '../../system/postmaster.ts';
import type { StandbyDeps } from '../deps.ts';
import { type DataDirectory, readDataDirectory, refuseIncompleteCopy } from './data-directory.ts';
import { type Server, serverOf } from './server.ts';
import { requirePgCtl } from './server-programs.ts';
import { requireClearPostmaster } from './server-state.ts';
import { requireExpectedVersion, warnOfVersion } from './version-check.ts';

export interface FoundServer {
  readonly server: Server;
  readonly directory: DataDirectory;
  readonly postmaster: Postmaster;
}

/** Observes this host's server before an action. Refuses a server that could not be started. */
export async function findServer(deps: StandbyDeps, purpose: 'start' | 'failover'): Promise<FoundServer> {
  const { start_command: start, promote_command: promote, pgdata } = deps.settings;
  const postmaster = await requireClearPostmaster(deps);
  await refuseIncompleteCopy(pgdata);
  const directory = await readDataDirectory(pgdata);
  const { capabilities } = directory;
  if (purpose === 'start') requireExpectedVersion(deps.settings, capabilities);
  else warnOfVersion(deps, capabilities);
  const isPgCtlNeeded = start === undefined || (purpose === 'failover' && promote === undefined);
  if (isPgCtlNeeded) await requirePgCtl(deps, capabilities);
  return { server: serverOf(deps, capabilities), directory, postmaster };
}
