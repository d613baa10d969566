import type { Capabilities } from '../../postgres/capabilities.ts';
import type { StandbyDeps } from '../deps.ts';

/** The server of this host: where its data is, what its release can do, and the world that it is reached through. */
export interface Server {
  readonly deps: StandbyDeps;
  readonly pgdata: string;
  readonly capabilities: Capabilities;
}

export function serverOf(deps: StandbyDeps, capabilities: Capabilities): Server {
  return { deps, pgdata: deps.settings.pgdata, capabilities };
}
