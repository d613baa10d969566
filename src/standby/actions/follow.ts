import type { ActionOptions, StandbyDeps } from '../deps.ts';
import { followHost } from '../follow/follow.ts';
import type { Address } from '../follow/ini-file.ts';
import { describeFollowed } from '../follow/see-it-follow.ts';
import { noteFollowed } from '../host/history.ts';

/** `--follow HOST`: the standby here follows another primary, or another standby. */
export async function follow(
  deps: StandbyDeps,
  options: ActionOptions,
  { host, port = deps.settings.port }: { readonly host: string; readonly port: number | undefined },
): Promise<number> {
  const address: Address = { host, port };
  const followed = await followHost(deps, { address, expected: undefined, mayBePrimary: false }, options);
  if (followed !== undefined) {
    await noteFollowed(deps, followed, host);
    deps.report(describeFollowed(followed, address));
  }
  return 0;
}
