import type { Capabilities } from '../../postgres/capabilities.ts';
import type { StandbyDeps } from '../deps.ts';

/** The server of this host: its data directory, the abilities of its release, and the deps through which it is reached. */
export interface Server {
  readonly deps: StandbyDeps;
  readonly pgdata: string;
  readonly capabilities: Capabilities;
}

export function serverOf(deps: StandbyDeps, capabilities: Capabilities): Server {
  return { deps, pgdata: deps.settings.pgdata, capabilities };
}
