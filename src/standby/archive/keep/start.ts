import type { RecoverySettings } from '../../recovery/settings.ts';
import { readDataDirectory } from '../../server/data-directory.ts';
import type { Server } from '../../server/server.ts';
import { isHotStandby, type ServerConfiguration } from '../../server/server-configuration.ts';
import { observeServer } from '../../server/server-state.ts';
import { type Look, waitUntil } from '../../server/wait.ts';
import { missingProgram, whyForeign } from './cleanup-command.ts';
import { keepStreamedWal, notKeptWords } from './keep.ts';
import { obstacleInFiles } from './leftover.ts';
import { isKeepingWanted } from './visit.ts';

/** Whether a standby that is started here keeps the WAL that its archive lacks. */
export type Keeping =
  /** It does not stream: all its WAL comes from the archive. */
  | { readonly kind: 'not-needed' }
  | { readonly kind: 'not-kept'; readonly reason: string }
  | { readonly kind: 'slot' };

/** The command that the server will have: ours, or the one of its own configuration. */
function cleanupCommandOf(
  { recoveryConf, parameters }: RecoverySettings,
  { inFile }: ServerConfiguration,
): string {
  const name = 'archive_cleanup_command';
  return recoveryConf.get(name) ?? parameters.get(name) ?? inFile.get(name) ?? '';
}

async function whyNot(
  server: Server,
  configuration: ServerConfiguration,
  settings: RecoverySettings,
): Promise<string | undefined> {
  const { deps, capabilities } = server;
  if (deps.settings.keep_streamed_max === 0) return 'keep_streamed_max is 0';
  if (!isKeepingWanted(server)) return `PostgreSQL ${capabilities.version.major} cannot (11 and later can)`;
  if (!isHotStandby(configuration, capabilities))
    return 'hot_standby is off, so that the server cannot be asked to make a replication slot';
  const foreign = whyForeign(cleanupCommandOf(settings, configuration));
  if (foreign !== undefined)
    return `${foreign}: remove it from ${configuration.configFile}, or name pg_archivecleanup in the INI file`;
  return (await missingProgram()) ?? obstacleInFiles(server, 'standby', configuration);
}

/** @param settings the recovery settings that the server gets */
export async function observeKeeping(
  server: Server,
  configuration: ServerConfiguration,
  settings: RecoverySettings,
): Promise<Keeping> {
  if (!server.deps.settings.use_streaming_replication) return { kind: 'not-needed' };
  const reason = await whyNot(server, configuration, settings);
  return reason === undefined ? { kind: 'slot' } : { kind: 'not-kept', reason };
}

async function look(server: Server): Promise<Look<string | undefined>> {
  const state = await observeServer(server);
  if (state.kind === 'stopped') return { kind: 'failed', reason: 'the server has stopped' };
  if (state.kind === 'production') return { kind: 'failed', reason: 'the server is out of recovery' };
  if (state.kind === 'starting' || !state.answers) return { kind: 'waiting', progress: state.progress };
  const { deps, pgdata } = server;
  const visit = await keepStreamedWal(deps, await readDataDirectory(pgdata), false);
  if (visit.kind === 'held') return { kind: 'done', value: undefined };
  const reason = visit.kind === 'none' ? 'the server is out of recovery' : visit.reason;
  return { kind: 'done', value: reason };
}

/**
 * Makes the slot as soon as the standby answers queries, unless it is there.
 *
 * @returns why there is none; undefined if there is one
 */
export async function makeSlotOnStart(server: Server): Promise<string | undefined> {
  const { deps } = server;
  const seen = await waitUntil(deps, deps.settings.start_timeout, () => look(server));
  if (seen.kind === 'done') return seen.value;
  return `the server answers no query yet (${seen.reason}); the next -P makes the slot`;
}

export function sayNotKept({ deps }: Server, reason: string | undefined): void {
  if (reason === undefined) return;
  deps.log.warning(notKeptWords(reason), {
    hint: 'Its restartpoints remove WAL that the primary has streamed and never archived. After a failover to this host, other standbys may lack it and need a new base backup.',
  });
}
