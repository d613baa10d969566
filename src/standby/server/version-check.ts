import { refusal } from '../../errors.ts';
import type { Capabilities } from '../../postgres/capabilities.ts';
import { findVersion, isSameMajor } from '../../postgres/version.ts';
import type { StandbyDeps } from '../deps.ts';

type Settings = StandbyDeps['settings'];

/** The fault of the INI's `pgversion`, if it has one. */
function versionProblem({ pgversion, pgdata }: Settings, { version }: Capabilities): string | undefined {
  const said = pgversion === undefined ? undefined : findVersion(pgversion);
  if (said === undefined || isSameMajor(said, version)) return undefined;
  return `pgversion: says ${said.major}, but the data directory "${pgdata}" is of PostgreSQL ${version.major}`;
}

/** `pgversion` is a check, not the truth: a failover must not end at a forgotten line of the INI. */
export function warnOfVersion(deps: Pick<StandbyDeps, 'settings' | 'log'>, capabilities: Capabilities): void {
  const problem = versionProblem(deps.settings, capabilities);
  if (problem !== undefined) deps.log.warning(problem);
}

/** Where nothing is lost by stopping: the wrong INI file, or the wrong pgdata in it. */
export function requireExpectedVersion(settings: Settings, capabilities: Capabilities): void {
  const problem = versionProblem(settings, capabilities);
  if (problem === undefined) return;
  throw refusal(problem, { hint: 'Correct the key, or check pgdata:.' });
}
