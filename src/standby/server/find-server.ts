import type { StandbySettings } from '../../config/options-standby.ts';
import { refusal } from '../../errors.ts';
import type { Capabilities } from '../../postgres/capabilities.ts';
import { findVersion, isSameMajor } from '../../postgres/version.ts';
import type { Postmaster } from '../../system/postmaster.ts';
import type { StandbyDeps } from '../deps.ts';
import { type DataDirectory, readDataDirectory, refuseIncompleteCopy } from './data-directory.ts';
import { type Server, serverOf } from './server.ts';
import { requireServerLog } from './server-log.ts';
import { requirePgCtl } from './server-programs.ts';
import { requireClearPostmaster } from './server-state.ts';

/** The mismatch between the INI file's `pgversion` and the real version, if there is one. */
function versionProblem(
  { pgversion, pgdata }: StandbySettings,
  { version }: Capabilities,
): string | undefined {
  const said = pgversion === undefined ? undefined : findVersion(pgversion);
  if (said === undefined || isSameMajor(said, version)) return undefined;
  return `pgversion: says ${said.major}, but the data directory "${pgdata}" is of PostgreSQL ${version.major}`;
}

/**
 * `pgversion` is only a check: an outdated line in the INI file must not prevent a failover. A start loses nothing if it
 * stops: the INI file, or the pgdata in it, may be the wrong one.
 */
function sayVersionProblem(
  { settings, log }: StandbyDeps,
  capabilities: Capabilities,
  purpose: Purpose,
): void {
  const problem = versionProblem(settings, capabilities);
  if (problem === undefined) return;
  if (purpose === 'start') throw refusal(problem, { hint: 'Correct the key, or check pgdata:.' });
  log.warning(problem);
}

type Purpose = 'start' | 'failover';

export interface FoundServer {
  readonly server: Server;
  readonly directory: DataDirectory;
  readonly postmaster: Postmaster;
}

/** Observes this host's server before an action. Refuses a server that could not be started. */
export async function findServer(deps: StandbyDeps, purpose: Purpose): Promise<FoundServer> {
  const { start_command: start, promote_command: promote, pgdata } = deps.settings;
  const postmaster = await requireClearPostmaster(deps);
  await refuseIncompleteCopy(pgdata);
  const directory = await readDataDirectory(pgdata);
  const { capabilities } = directory;
  sayVersionProblem(deps, capabilities, purpose);
  const isPgCtlNeeded = start === undefined || (purpose === 'failover' && promote === undefined);
  if (isPgCtlNeeded) await requirePgCtl(deps, capabilities);
  // A server that runs can be promoted without a start.
  const isStartSure = purpose === 'start' || postmaster.kind !== 'running';
  if (start === undefined && isStartSure) await requireServerLog(deps.settings);
  return { server: serverOf(deps, capabilities), directory, postmaster };
}
