import { refusal } from '../../errors.ts';
import type { Capabilities } from '../../postgres/capabilities.ts';
import { findVersion, isSameMajor } from '../../postgres/version.ts';
import type { StandbyDeps } from '../deps.ts';

type Settings = StandbyDeps['settings'];

/** The mismatch between the INI file's `pgversion` and the real version, if there is one. */
function versionProblem({ pgversion, pgdata }: Settings, { version }: Capabilities): string | undefined {
  const said = pgversion === undefined ? undefined : findVersion(pgversion);
  if (said === undefined || isSameMajor(said, version)) return undefined;
  return `pgversion: says ${said.major}, but the data directory "${pgdata}" is of PostgreSQL ${version.major}`;
}

/** `pgversion` is only a check: an outdated line in the INI file must not prevent a failover. */
export function warnOfVersion(deps: Pick<StandbyDeps, 'settings' | 'log'>, capabilities: Capabilities): void {
  const problem = versionProblem(deps.settings, capabilities);
  if (problem !== undefined) deps.log.warning(problem);
}

/** For actions that lose nothing if they stop: the INI file, or the pgdata in it, may be the wrong one. */
export function requireExpectedVersion(settings: Settings, capabilities: Capabilities): void {
  const problem = versionProblem(settings, capabilities);
  if (problem === undefined) return;
  throw refusal(problem, { hint: 'Correct the key, or check pgdata:.' });
}
