import type { Capabilities } from '../../postgres/capabilities.ts';
import { findVersion, isSameMajor } from '../../postgres/version.ts';
import type { StandbyDeps } from '../deps.ts';

/** `pgversion` is a check, not the truth: a failover must not end at a forgotten line of the INI. */
export function warnOfVersion(deps: Pick<StandbyDeps, 'settings' | 'log'>, capabilities: Capabilities): void {
  const { pgversion, pgdata } = deps.settings;
  const said = pgversion === undefined ? undefined : findVersion(pgversion);
  if (said === undefined || isSameMajor(said, capabilities.version)) return;
  deps.log.warning(
    `pgversion says ${pgversion ?? ''}, but the data directory "${pgdata}" is of PostgreSQL ${capabilities.version.major}`,
  );
}
