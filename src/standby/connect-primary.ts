import type { StandbyDeps } from './deps.ts';
import { withPrimary, withServer, type Primary } from './primary.ts';

/** Connects to the primary in the way that the INI allows: by ssh, or to its server alone. */
export async function withConfiguredPrimary<T>(
  deps: StandbyDeps,
  use: (primary: Primary) => Promise<T>,
): Promise<T> {
  if (deps.settings.basebackup_method === 'rsync') return withPrimary(deps, use);
  return (await import('./protocol/protocol-primary.ts')).withPrimaryByProtocol(deps, use);
}

/** For a base backup: with the standby that its files are to be read from, where the INI names one. */
export async function withPrimaryAndSource<T>(
  deps: StandbyDeps,
  use: (primary: Primary) => Promise<T>,
): Promise<T> {
  const { basebackup_source: host, basebackup_source_port, basebackup_source_local_ip } = deps.settings;
  const { port, master_local_ip } = deps.settings;
  return withConfiguredPrimary(deps, (primary) => {
    if (host === undefined) return use(primary);
    const place = {
      what: 'the standby to copy from,',
      host,
      localAddress: basebackup_source_local_ip ?? master_local_ip,
      port: basebackup_source_port ?? port,
    };
    return withServer(deps, place, (source) => use({ ...primary, source }));
  });
}
