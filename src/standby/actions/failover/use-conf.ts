import { readFile, stat } from 'node:fs/promises';
import { PitrError } from '../../../errors.ts';
import { fitSlot } from '../../archive/keep/leftover.ts';
import { promotingAction, type StandbyDeps } from '../../deps.ts';
import {
  type ConfCopy,
  confFiles,
  copyConf,
  hasOtherSources,
  planConfCopies,
} from '../../host/conf-files.ts';
import { restartServerProgram, startServerProgram } from '../../server/local-server.ts';
import type { Server } from '../../server/server.ts';
import {
  readConfiguration,
  type ServerConfiguration,
  serverOptions,
} from '../../server/server-configuration.ts';
import { mustAnswer, rowsOf } from '../../server/server-state.ts';
import { comesTrue } from '../../server/wait.ts';
import { warnOfOtherFiles } from './files-in-force.ts';
import { correctThem, type Old, startOrGoBack, tryStart, writeBack } from './start-or-go-back.ts';

export interface FailoverConf {
  /** The INI file's files. Which of them must be copied is determined when they are put into force. */
  readonly files: readonly ConfCopy[];
  /** The configuration for a restart, if a reload is not enough. */
  readonly configuration: ServerConfiguration;
  readonly mustRestart: boolean;
}

/**
 * Undefined if the INI file names no other files for a failover. Equal files in pgdata are no reason to do nothing: the
 * standby's files are copied over them before a start, and perhaps the running server has not read them yet.
 */
export async function failoverConf(server: Server): Promise<FailoverConf | undefined> {
  const { settings } = server.deps;
  const files = await confFiles(settings, 'failover');
  if (files.length === 0) return undefined;
  const configuration = await readConfiguration(server, 'failover');
  const before = await readConfiguration(server, 'standby');
  const isOtherStart = serverOptions(configuration.parameters) !== serverOptions(before.parameters);
  const mustRestart = isOtherStart || (settings.no_copy_conf && hasOtherSources(settings));
  return { files, configuration, mustRestart };
}

/** The start of a server that ended before its failover was finished. */
export interface PromotedStart {
  readonly conf: FailoverConf | undefined;
  readonly configuration: ServerConfiguration;
}

/** The files to restore on failure: those in pgdata or, if an earlier run has replaced them, the standby's. */
async function readOld(
  { settings }: StandbyDeps,
  files: readonly ConfCopy[],
  copies: readonly ConfCopy[],
): Promise<Old> {
  if (settings.no_copy_conf) return [];
  const standby = await confFiles(settings, 'standby');
  return Promise.all(
    files.map(async ({ to }) => {
      const isReplaced = !copies.some((copy) => copy.to === to);
      const from = isReplaced ? standby.find((file) => file.to === to)?.from : to;
      const content = from === undefined ? undefined : await readFile(from).catch(() => undefined);
      return { path: to, content };
    }),
  );
}

async function loadTime(server: Server): Promise<string> {
  return mustAnswer(server, 'cannot reload the configuration', async (sql) => {
    const [row] = await sql('SELECT pg_conf_load_time()::text AS loaded');
    return String(row?.['loaded']);
  });
}

async function signalReload(server: Server): Promise<void> {
  await mustAnswer(server, 'cannot reload the configuration', (sql) => sql('SELECT pg_reload_conf()'));
}

const reloadLimitS = 5;

/** Whether a reload has put the new files into force. A server does not load a file with a mistake. */
async function reload(server: Server): Promise<boolean> {
  const before = await loadTime(server);
  await signalReload(server);
  return comesTrue(server.deps, reloadLimitS, async () => (await loadTime(server)) !== before);
}

/** The latest time at which the file may have changed: some file systems keep whole seconds. */
async function changedBeforeMs(path: string): Promise<number> {
  const { mtimeMs } = await stat(path);
  return mtimeMs + 1000;
}

/** Whether the running server has read the present contents of these files at its start. In doubt the answer is no. */
async function hasStartedWith(server: Server, files: readonly ConfCopy[]): Promise<boolean> {
  const { deps } = server;
  const rows = await rowsOf(server, 'SELECT extract(epoch FROM pg_postmaster_start_time())::text AS started');
  if (rows === undefined) return false;
  const startedMs = Number(rows[0]?.['started']) * 1000;
  const read = files.map(({ from, to }) => (deps.settings.no_copy_conf ? from : to));
  const changed = await Promise.all(read.map(changedBeforeMs));
  return changed.every((changedMs) => changedMs < startedMs);
}

/**
 * Settings that only a recovering server reads. Up to 13 a change of them needs a restart, and we have just removed
 * ours; but an open server ignores them.
 */
function isForRecovery(name: string): boolean {
  return /^(recovery_|primary_(conninfo|slot_name)$|(restore|archive_cleanup)_command$|promote_trigger_file$)/.test(
    name,
  );
}

/**
 * Before 9.5 no server reports which settings need a restart. Then the server is restarted once for each change of the
 * files.
 */
async function needsRestart(server: Server, files: readonly ConfCopy[]): Promise<boolean> {
  const { deps, capabilities } = server;
  const rows = capabilities.tellsPendingRestart
    ? await rowsOf(server, 'SELECT name FROM pg_settings WHERE pending_restart')
    : undefined;
  if (rows === undefined) return !(await hasStartedWith(server, files));
  const names = rows.map((row) => String(row['name'])).filter((name) => !isForRecovery(name));
  if (names.length > 0) deps.log.notice(`restarting for ${names.join(', ')}`);
  return names.length > 0;
}

/** Starts a server that was promoted and has ended since. */
export async function startPromoted(server: Server, { conf, configuration }: PromotedStart): Promise<void> {
  const { deps } = server;
  const start = async () => {
    await fitSlot(server, configuration);
    return startServerProgram(server, configuration);
  };
  if (conf !== undefined) {
    await startOrGoBack(server, await copyFiles(deps, conf), start);
    return;
  }
  const problem = await tryStart(server, start);
  if (problem === undefined) return;
  throw new PitrError('the promoted server does not start', {
    detail: problem.reason,
    hint: `Correct the reason, then run ${promotingAction(deps)} again.`,
  });
}

/** The server's own error messages about its files, from 9.5 on. */
async function fileErrors(server: Server): Promise<string> {
  const rows = server.capabilities.tellsPendingRestart
    ? await rowsOf(
        server,
        "SELECT sourcefile || ':' || sourceline || ': ' || error AS problem FROM pg_file_settings WHERE error IS NOT NULL",
      )
    : undefined;
  return rows?.map((row) => String(row['problem'])).join('; ') ?? 'the server log shows the reason';
}

/** A restart with files that a reload rejects would leave no running server at all. */
async function giveUpFiles(server: Server, old: Old): Promise<never> {
  const detail = await fileErrors(server);
  await writeBack(old);
  await signalReload(server);
  throw new PitrError('the server does not accept the failover configuration; it runs with its former one', {
    detail,
    hint: correctThem(server),
  });
}

async function copyFiles(deps: StandbyDeps, { files }: FailoverConf): Promise<Old> {
  const copies = await planConfCopies(deps.settings, 'failover');
  const old = await readOld(deps, files, copies);
  for (const copy of copies) await copyConf(deps, copy);
  return old;
}

async function putIntoForce(server: Server, conf: FailoverConf): Promise<void> {
  const { deps } = server;
  const old = await copyFiles(deps, conf);
  // This is also necessary if nothing was copied: an earlier run may have ended between the copy and the reload.
  if (!conf.mustRestart) {
    if (!(await reload(server))) await giveUpFiles(server, old);
    if (!(await needsRestart(server, conf.files))) return;
  }
  await startOrGoBack(server, old, () => restartServerProgram(server, conf.configuration));
}

/** Puts `pg_conf_failover` and `pg_hba_conf_failover` into force, by a reload or, if necessary, by a restart. */
export async function useFailoverConf(server: Server, conf: FailoverConf): Promise<void> {
  await putIntoForce(server, conf);
  await warnOfOtherFiles(server, conf.configuration);
}
