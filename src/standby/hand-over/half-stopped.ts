/** The traces of a stop for a switchover, on the old primary's host. */
import { messageOf, PitrError } from '../../errors.ts';
import { quoted } from '../../system/printable.ts';
import { readStoppedFor } from '../../system/stopped-for.ts';
import type { StandbyDeps } from '../deps.ts';
import { changeRecord, readRecord } from '../host/backup-record/record.ts';
import { ownCommand } from '../host/own-command.ts';
import { clearRecoverySettings } from '../recovery/files.ts';
import { type DataDirectory, readDataDirectory } from '../server/data-directory.ts';
import { type Server, serverOf } from '../server/server.ts';
import { observeServer, type ServerState } from '../server/server-state.ts';
import { serves } from './stopped-for.ts';

interface Trace {
  readonly message: string;
  readonly hint: string;
}

/** A warning for the operator on this host; undefined if no switchover has stopped the server, or was about to. */
export function traceOfStop(
  deps: Pick<StandbyDeps, 'iniFile'>,
  { pgdata, record, control, hasRecoverySettings }: DataDirectory,
  state: ServerState,
): Trace | undefined {
  const { stoppedFor } = record;
  if (stoppedFor === undefined) return undefined;
  const { timeline, token } = stoppedFor;
  const host = quoted(stoppedFor.host, 80);
  const { program, iniFile } = ownCommand(deps);
  const verb = `resume-primary ${timeline} ${control?.systemIdentifier ?? ''} ${token ?? ''}`;
  const back =
    token === undefined
      ? ''
      : `; to have it as the primary instead: ${program} -C ${iniFile} --serve '${quoted(verb)}'`;
  const hint = `Run --switchover on ${host}: it finishes what it began${back}`;
  if (state.kind !== 'production')
    return { message: `the server in "${pgdata}" was stopped for a switchover to ${host}`, hint };
  const next = hasRecoverySettings ? ', and its next start would be that of a standby' : '';
  return { message: `the server in "${pgdata}" was to be stopped for a switchover to ${host}${next}`, hint };
}

/** Warns of it, in any action that looks at the server here. */
export async function sayTraceOfStop(deps: StandbyDeps, directory: DataDirectory): Promise<void> {
  if (directory.record.stoppedFor === undefined) return;
  const state = await observeServer(serverOf(deps, directory.capabilities));
  const trace = traceOfStop(deps, directory, state);
  if (trace !== undefined) deps.log.warning(trace.message, { hint: trace.hint });
}

/** The same for an action that needs nothing of the data directory: it does not fail where that cannot be read. */
export async function sayTraceHere(deps: StandbyDeps): Promise<void> {
  const { pgdata } = deps.settings;
  try {
    if ((await readStoppedFor(pgdata)) !== undefined)
      await sayTraceOfStop(deps, await readDataDirectory(pgdata));
  } catch (error) {
    deps.signal.throwIfAborted();
    deps.log.warning(
      `whether a switchover was to stop the server in "${pgdata}" is not known: ${messageOf(error)}`,
    );
  }
}

/**
 * Takes back a stop that was ended before the server was stopped: its next start would be a standby's. The caller holds the lock
 * of the actions, so that no stop is under way.
 */
export async function takeBackStop(server: Server): Promise<void> {
  const { deps, pgdata } = server;
  const { stoppedFor } = await readRecord(pgdata);
  if (stoppedFor === undefined) return;
  if (!serves(await observeServer(server)))
    throw new PitrError(`the server in "${pgdata}" does not serve any more`);
  await clearRecoverySettings(server);
  await changeRecord(pgdata, { stoppedFor: undefined });
  deps.log.notice(
    `took back a stop for a switchover to ${quoted(stoppedFor.host, 80)}, which was interrupted`,
  );
}
