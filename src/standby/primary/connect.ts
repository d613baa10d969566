import type { StandbyDeps } from '../deps.ts';
import { withPrimary, withServer, type Primary } from './primary.ts';

/** Connects to the primary in the way that the INI allows: by ssh, or to its server alone. */
export async function withConfiguredPrimary<T>(
  deps: StandbyDeps,
  use: (primary: Primary) => Promise<T>,
): Promise<T> {
  if (deps.settings.basebackup_method === 'rsync') return withPrimary(deps, use);
  return (await import('./protocol/protocol-primary.ts')).withPrimaryByProtocol(deps, use);
}

/** Connects to the standby that files are read from, alone; the INI must name one. */
export async function withConfiguredSource<T>(
  deps: StandbyDeps,
  use: (source: Primary) => Promise<T>,
): Promise<T> {
  const { settings } = deps;
  const { basebackup_source: host, basebackup_source_port: port = settings.port } = settings;
  const { basebackup_source_local_ip: localAddress = settings.master_local_ip } = settings;
  if (host === undefined) throw new Error('the INI names no standby to copy from');
  return withServer(deps, { what: 'the standby to copy from,', host, localAddress, port }, use);
}

/** For a base backup: with the standby that its files are to be read from, where the INI names one. */
export async function withPrimaryAndSource<T>(
  deps: StandbyDeps,
  use: (primary: Primary) => Promise<T>,
): Promise<T> {
  return withConfiguredPrimary(deps, (primary) =>
    deps.settings.basebackup_source === undefined
      ? use(primary)
      : withConfiguredSource(deps, (source) => use({ ...primary, source })),
  );
}
