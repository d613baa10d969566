import { join } from 'node:path';
import { refusal } from '../../errors.ts';
import type { Capabilities } from '../../postgres/capabilities.ts';
import { conninfo } from '../../postgres/quoting.ts';
import type { CommandLine } from '../../system/command.ts';
import { exists, readIfExists } from '../../system/durable.ts';
import { findProgram, requireProgram } from '../../system/find-program.ts';
import { programRoot } from '../../system/program-root.ts';
import { isKeepingWanted } from '../archive/keep/visit.ts';
import type { StandbyDeps } from '../deps.ts';
import { readRecord } from '../host/backup-record/record.ts';
import type { Server } from '../server/server.ts';
import type { ServerConfiguration } from '../server/server-configuration.ts';
import { programFolders } from '../server/server-programs.ts';
import { ownSlotName, type SlotIdentity } from '../slot/own-name.ts';
import { isDelay, ownDelayOf } from './own-delay.ts';
import { delayParameter, type RecoveryPlace, type Streaming } from './settings.ts';

async function pgStandby({ deps, capabilities }: Server): Promise<CommandLine | undefined> {
  if (capabilities.standbyMode) return undefined;
  const command = deps.settings.pg_standby ?? { program: 'pg_standby', args: [] };
  return requireProgram('pg_standby', command, programFolders(deps, capabilities));
}

/** This program is optional: without it, `--cleanup` keeps the archive small. */
async function pgArchivecleanup({ deps, capabilities }: Server): Promise<CommandLine | undefined> {
  const { pg_archivecleanup: wanted, includepath } = deps.settings;
  if (wanted === undefined || !capabilities.hasArchiveCleanupCommand) return undefined;
  const program = await findProgram(wanted.program, includepath);
  if (program !== undefined) return { ...wanted, program };
  deps.log.warning(
    `there is no program "${wanted.program}" (key pg_archivecleanup): archivedir grows until --cleanup is run`,
  );
  return undefined;
}

/** All parameters that can set a target; from 12 on they are ordinary ones. */
const targetParameters = [
  'recovery_target',
  'recovery_target_time',
  'recovery_target_xid',
  'recovery_target_lsn',
  'recovery_target_name',
  'recovery_target_timeline',
];

/** The user's own settings: up to 11 the server's configuration contains none for a recovery. */
async function ownSettings(
  { pgdata, capabilities }: Server,
  { inFile }: ServerConfiguration,
): Promise<ReadonlyMap<string, string>> {
  if (capabilities.recoveryConf !== 'signal-files') return new Map();
  const text = (await readIfExists(join(pgdata, 'postgresql.auto.conf')))?.toString('utf8') ?? '';
  const record = await readRecord(pgdata);
  const ownDelay = ownDelayOf(record, text);
  return new Map([...inFile, ...(ownDelay === undefined ? [] : [[delayParameter, ownDelay] as const])]);
}

/** The delay that the INI file sets; undefined if it sets none. */
export function iniDelayOf({ deps, capabilities }: Server): string | undefined {
  const { recovery_min_apply_delay: delay } = deps.settings;
  if (delay === undefined || capabilities.hasRecoveryMinApplyDelay) return delay;
  throw refusal(
    `PostgreSQL ${capabilities.version.major} cannot delay its replay: ${delayParameter} needs 9.4`,
    {
      hint: `Remove ${delayParameter} from the INI file.`,
    },
  );
}

export async function recoveryPlace(
  server: Server,
  configuration: ServerConfiguration,
): Promise<RecoveryPlace> {
  const { deps } = server;
  const own = await ownSettings(server, configuration);
  return {
    launcher: join(programRoot(), 'bin', 'cmd_standby'),
    archivedir: deps.settings.archivedir,
    iniFile: deps.drillParameters === undefined ? deps.iniFile : undefined,
    pgStandby: await pgStandby(server),
    pgArchivecleanup: await pgArchivecleanup(server),
    keepsStreamed: isKeepingWanted(server),
    ownCleanup: (configuration.inFile.get('archive_cleanup_command') ?? '') !== '',
    ownRetryInterval: configuration.inFile.has('wal_retrieve_retry_interval'),
    ownDelay: isDelay(own.get(delayParameter)),
    ownTargets: targetParameters.filter((name) => !['', 'latest'].includes(own.get(name) ?? '')),
  };
}

function requireSlotName(
  deps: StandbyDeps,
  capabilities: Capabilities,
  identity: SlotIdentity,
): string | undefined {
  if (deps.settings.use_slot && !capabilities.hasReplicationSlots) {
    throw refusal(`PostgreSQL ${capabilities.version.major} has no replication slots`, {
      hint: 'Set use_slot: no',
    });
  }
  return ownSlotName(deps, capabilities, identity);
}

/** The INI file's settings for streaming; undefined if it is off. */
export function streamingOf({ deps, capabilities }: Server, identity: SlotIdentity): Streaming | undefined {
  const { settings } = deps;
  const { master_public_ip: host, port, repl_db_user: user, repl_db_password: password, sslmode } = settings;
  if (!settings.use_streaming_replication) return undefined;
  if (!capabilities.streaming) {
    throw refusal(`PostgreSQL ${capabilities.version.major} has no streaming replication`, {
      hint: 'Set use_streaming_replication: no',
    });
  }
  if (user === undefined) {
    throw refusal('use_streaming_replication is on and repl_db_user is not set', {
      hint: 'Set repl_db_user: to the role that the standby streams with.',
    });
  }
  return {
    conninfo: conninfo({ host, port, user, password, sslmode, application_name: deps.hostName }),
    slot: requireSlotName(deps, capabilities, identity),
    triggerFile: settings.trigger_file,
  };
}

/** The file that promotes a standby of this release, if it exists. */
export async function presentTriggerFile({ deps, capabilities }: Server): Promise<string | undefined> {
  const { trigger_file: path } = deps.settings;
  const isUsed = capabilities.triggerFile !== undefined && path !== undefined;
  return isUsed && (await exists(path)) ? path : undefined;
}
