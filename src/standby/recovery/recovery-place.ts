import { refusal } from '../../errors.ts';
import type { Capabilities } from '../../postgres/capabilities.ts';
import type { CommandLine } from '../../system/command.ts';
import { findProgram, requireProgram } from '../../system/find-program.ts';
import type { StandbyDeps } from '../deps.ts';
import type { RecoveryPlace, Streaming } from '../recovery-settings.ts';
import type { ServerConfiguration } from '../server/server-configuration.ts';
import { launcherPath } from './launcher.ts';

async function pgStandby(deps: StandbyDeps, capabilities: Capabilities): Promise<CommandLine | undefined> {
  const { pg_standby: wanted, includepath } = deps.settings;
  if (!capabilities.needsPgStandby) return undefined;
  const command = wanted ?? { program: 'pg_standby', args: [] };
  const folder = `/usr/lib/postgresql/${capabilities.version.major}/bin`;
  return requireProgram('pg_standby', command, [...includepath, folder]);
}

/** Optional by its nature: without it `--cleanup` keeps the archive small. */
async function pgArchivecleanup(
  deps: StandbyDeps,
  capabilities: Capabilities,
): Promise<CommandLine | undefined> {
  const { pg_archivecleanup: wanted, includepath } = deps.settings;
  if (wanted === undefined || !capabilities.hasArchiveCleanupCommand) return undefined;
  const program = await findProgram(wanted.program, includepath);
  if (program !== undefined) return { ...wanted, program };
  deps.log.warning(
    `there is no program "${wanted.program}" (key pg_archivecleanup): archivedir grows until --cleanup is run`,
  );
  return undefined;
}

export async function recoveryPlace(
  deps: StandbyDeps,
  capabilities: Capabilities,
  configuration: ServerConfiguration,
): Promise<RecoveryPlace> {
  return {
    launcher: launcherPath(),
    archivedir: deps.settings.archivedir,
    iniFile: deps.iniFile,
    pgStandby: await pgStandby(deps, capabilities),
    pgArchivecleanup: await pgArchivecleanup(deps, capabilities),
    ownRetryInterval: configuration.inFile.has('wal_retrieve_retry_interval'),
  };
}

/** What the INI says of streaming; undefined when it is off. */
export function streamingOf(deps: StandbyDeps, capabilities: Capabilities): Streaming | undefined {
  const { settings } = deps;
  if (!settings.use_streaming_replication) return undefined;
  if (!capabilities.streaming) {
    throw refusal(`PostgreSQL ${capabilities.version.major} has no streaming replication`, {
      hint: 'Set use_streaming_replication: no',
    });
  }
  if (settings.repl_db_user === undefined) {
    throw refusal('use_streaming_replication is on and repl_db_user is not set', {
      hint: 'Set repl_db_user: to the role that the standby streams with.',
    });
  }
  return {
    host: settings.master_public_ip,
    port: settings.port,
    user: settings.repl_db_user,
    password: settings.repl_db_password,
    sslmode: settings.sslmode,
    applicationName: deps.hostName,
    triggerFile: settings.trigger_file,
  };
}
