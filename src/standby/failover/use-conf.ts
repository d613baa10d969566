import { readFile, stat } from 'node:fs/promises';
import { messageOf, PitrError } from '../../errors.ts';
import type { Capabilities } from '../../postgres/capabilities.ts';
import { writeDurably } from '../../system/durable.ts';
import { confFiles, copyConf, planConfCopies, type ConfCopy } from '../conf-files.ts';
import type { StandbyDeps } from '../deps.ts';
import { restartServerProgram, serverLogTail, startServerProgram, type Started } from '../local-server.ts';
import { readPostmaster } from '../../system/postmaster.ts';
import { readConfiguration, type ServerConfiguration } from '../server/server-configuration.ts';
import { mustAnswer, observeServer, withLocalServer } from '../server/server-state.ts';
import { waitUntil, type Look } from '../server/wait.ts';
import { warnOfOtherFiles } from './files-in-force.ts';
import type { FailoverConf } from './steps.ts';

type Old = readonly { readonly path: string; readonly content: Buffer | undefined }[];

/** What there is to go back to: the files as they are or, where an earlier run has replaced them already, the standby's. */
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

async function writeBack(old: Old): Promise<void> {
  for (const { path, content } of old) if (content !== undefined) await writeDurably(path, content);
}

const correctThem =
  'Correct pg_conf_failover and pg_hba_conf_failover; then run -F999 again to put them into force.';

async function loadTime(deps: StandbyDeps, capabilities: Capabilities): Promise<string> {
  return mustAnswer(deps, capabilities, 'cannot reload the configuration', async (sql) => {
    const [row] = await sql('SELECT pg_conf_load_time()::text AS loaded');
    return String(row?.['loaded']);
  });
}

async function signalReload(deps: StandbyDeps, capabilities: Capabilities): Promise<void> {
  await mustAnswer(deps, capabilities, 'cannot reload the configuration', (sql) =>
    sql('SELECT pg_reload_conf()'),
  );
}

/** Whether the server has taken the new files by a reload; one that it cannot read, it does not take. */
async function reload(deps: StandbyDeps, capabilities: Capabilities): Promise<boolean> {
  const before = await loadTime(deps, capabilities);
  await signalReload(deps, capabilities);
  const look = async (): Promise<Look<undefined>> =>
    (await loadTime(deps, capabilities)) === before
      ? { kind: 'waiting', progress: '' }
      : { kind: 'done', value: undefined };
  return (await waitUntil(deps, reloadLimitS, look)).kind === 'done';
}

const reloadLimitS = 5;

/** As late as it may have been: some file systems keep whole seconds. */
async function changedBeforeMs(path: string): Promise<number> {
  const { mtimeMs } = await stat(path);
  return mtimeMs + 1000;
}

/** Whether the server that runs read these files, as they are, when it was started; in doubt it did not. */
async function hasStartedWith(
  deps: StandbyDeps,
  capabilities: Capabilities,
  files: readonly ConfCopy[],
): Promise<boolean> {
  const answer = await withLocalServer(deps, capabilities, (sql) =>
    sql('SELECT extract(epoch FROM pg_postmaster_start_time())::text AS started'),
  );
  if (answer.kind !== 'answered') return false;
  const startedMs = Number(answer.value[0]?.['started']) * 1000;
  const read = files.map(({ from, to }) => (deps.settings.no_copy_conf ? from : to));
  const changed = await Promise.all(read.map(changedBeforeMs));
  return changed.every((changedMs) => changedMs < startedMs);
}

/** Before 9.5 nobody tells which settings wait for a restart: then there is one, once for each change of the files. */
async function needsRestart(
  deps: StandbyDeps,
  capabilities: Capabilities,
  files: readonly ConfCopy[],
): Promise<boolean> {
  const answer = await withLocalServer(deps, capabilities, (sql) =>
    sql('SELECT name FROM pg_settings WHERE pending_restart'),
  );
  if (answer.kind !== 'answered') return !(await hasStartedWith(deps, capabilities, files));
  const names = answer.value.map((row) => String(row['name']));
  if (names.length > 0) deps.log.notice(`restarting for ${names.join(', ')}`);
  return names.length > 0;
}

async function opens(
  deps: StandbyDeps,
  capabilities: Capabilities,
  started: Started,
): Promise<string | undefined> {
  const look = async (): Promise<Look<undefined>> => {
    const state = await observeServer(deps, capabilities, started);
    if (state.kind === 'production' && state.answers) return { kind: 'done', value: undefined };
    if (state.kind === 'stopped') return { kind: 'failed', reason: 'it has stopped' };
    return { kind: 'waiting', progress: state.kind === 'production' ? '' : state.progress };
  };
  const end = await waitUntil(deps, deps.settings.start_timeout, look);
  return end.kind === 'done' ? undefined : end.reason;
}

async function tryRestart(
  deps: StandbyDeps,
  capabilities: Capabilities,
  configuration: ServerConfiguration,
): Promise<string | undefined> {
  try {
    const started = await restartServerProgram(deps, capabilities, configuration);
    const reason = await opens(deps, capabilities, started);
    return reason === undefined ? undefined : `${reason}; ${await serverLogTail(deps, started)}`;
  } catch (error) {
    if (!(error instanceof PitrError)) throw error;
    return [messageOf(error), error.detail].filter(Boolean).join('; ');
  }
}

/** A production server that does not run for a mistake in a file is worse than one with the standby's file. */
async function goBack(deps: StandbyDeps, capabilities: Capabilities, old: Old): Promise<string> {
  await writeBack(old);
  const before = await readConfiguration(deps.settings, 'standby', capabilities.version.major);
  // What the former file was is in pgdata again, whatever the INI says; only the start's parameters are the standby's.
  if ((await readPostmaster(deps.settings.pgdata)).kind === 'running') return 'the server runs';
  const started = await startServerProgram(deps, capabilities, before);
  const reason = await opens(deps, capabilities, started);
  return reason === undefined
    ? 'the server runs with its former configuration'
    : `and not with its former configuration either: ${reason}`;
}

async function restartOrGoBack(deps: StandbyDeps, capabilities: Capabilities, conf: FailoverConf, old: Old) {
  const problem = await tryRestart(deps, capabilities, conf.configuration);
  if (problem === undefined) return;
  const now = await goBack(deps, capabilities, old);
  throw new PitrError(`the server does not start with the failover configuration; ${now}`, {
    detail: problem,
    hint: correctThem,
  });
}

/** What the server has against its files, from 9.5 on. */
async function fileErrors(deps: StandbyDeps, capabilities: Capabilities): Promise<string> {
  const answer = await withLocalServer(deps, capabilities, (sql) =>
    sql(
      "SELECT sourcefile || ':' || sourceline || ': ' || error AS problem FROM pg_file_settings WHERE error IS NOT NULL",
    ),
  );
  if (answer.kind !== 'answered') return 'the reason stands in the server log';
  return answer.value.map((row) => String(row['problem'])).join('; ');
}

/** A restart with files that a reload does not take would end in no server at all. */
async function giveUpFiles(deps: StandbyDeps, capabilities: Capabilities, old: Old): Promise<never> {
  const detail = await fileErrors(deps, capabilities);
  await writeBack(old);
  await signalReload(deps, capabilities);
  throw new PitrError('the server does not take the failover configuration; it runs with its former one', {
    detail,
    hint: correctThem,
  });
}

async function putIntoForce(
  deps: StandbyDeps,
  capabilities: Capabilities,
  conf: FailoverConf,
): Promise<void> {
  const copies = await planConfCopies(deps.settings, 'failover');
  const old = await readOld(deps, conf.files, copies);
  for (const copy of copies) await copyConf(deps, copy);
  // Also with nothing to copy: an earlier run may have ended between the copy and what puts it into force.
  if (!conf.mustRestart) {
    if (!(await reload(deps, capabilities))) await giveUpFiles(deps, capabilities, old);
    if (!(await needsRestart(deps, capabilities, conf.files))) return;
  }
  await restartOrGoBack(deps, capabilities, conf, old);
}

/** Puts `pg_conf_failover` and `pg_hba_conf_failover` into force: by a reload, or a restart where one is needed. */
export async function useFailoverConf(
  deps: StandbyDeps,
  capabilities: Capabilities,
  conf: FailoverConf,
): Promise<void> {
  await putIntoForce(deps, capabilities, conf);
  await warnOfOtherFiles(deps, capabilities, conf.configuration);
}
