import type { StandbyDeps } from '../deps.ts';
import { type Primary, withPrimary, withServer } from './primary.ts';

/** Connects to the primary in the way that the INI file allows: by ssh, or only to its server. */
export async function withConfiguredPrimary<T>(
  deps: StandbyDeps,
  use: (primary: Primary) => Promise<T>,
): Promise<T> {
  if (deps.settings.basebackup_method === 'rsync') return withPrimary(deps, use);
  return (await import('./protocol/protocol-primary.ts')).withPrimaryByProtocol(deps, use);
}

/** Connects only to the standby from which files are read; the INI file must name one. */
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

/** Much is sent over the connections of a base backup. */
function forMuch(deps: StandbyDeps): StandbyDeps {
  const withRemoteShell: StandbyDeps['withRemoteShell'] = (sshDeps, target, use) =>
    deps.withRemoteShell(sshDeps, { ...target, isForMuch: true }, use);
  return { ...deps, withRemoteShell };
}

/** For a base backup: connects also to the standby from which its files are read, if the INI file names one. */
export async function withPrimaryAndSource<T>(
  given: StandbyDeps,
  use: (primary: Primary) => Promise<T>,
): Promise<T> {
  const deps = forMuch(given);
  return withConfiguredPrimary(deps, (primary) =>
    deps.settings.basebackup_source === undefined
      ? use(primary)
      : withConfiguredSource(deps, (source) => use({ ...primary, source })),
  );
}
