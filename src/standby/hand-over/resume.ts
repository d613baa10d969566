import { messageOf, PitrError, refusal } from '../../errors.ts';
import { leash } from '../../system/leash.ts';
import { readSentinel } from '../../system/sentinel.ts';
import type { AnswerOf, ArgumentsOf } from '../../verbs/verbs.ts';
import type { StandbyDeps } from '../deps.ts';
import { withActionLock } from '../host/action-lock.ts';
import { changeRecord } from '../host/backup-record/record.ts';
import { noteHistory } from '../host/history.ts';
import { withPeer } from '../peers/peer.ts';
import { clearRecoverySettings } from '../recovery/files.ts';
import { startServerProgram, stopServerAtOnce, stopServerProgram } from '../server/local-server.ts';
import { reaches } from '../server/reach.ts';
import type { Server } from '../server/server.ts';
import { observeServer } from '../server/server-state.ts';
import { comesTrue } from '../server/wait.ts';
import { findOwnServer, type OwnServer, requireTimeline, timelineOf } from './own-server.ts';
import { configurationBefore } from './start-options.ts';
import { requireNotTaken, resumptionOf, serves } from './stopped-for.ts';

/**
 * A server that answers nobody may be stopping: pg_control says "in production" until its last checkpoint. It is waited for,
 * and then ended. Nothing is lost by that: the start recovers.
 *
 * @returns whether it serves
 */
async function awaitEnd(server: Server): Promise<boolean> {
  const { deps } = server;
  let state = await observeServer(server);
  const isSettled = async () => {
    state = await observeServer(server);
    return state.kind === 'stopped' || serves(state);
  };
  if (!(await comesTrue(deps, deps.settings.start_timeout, isSettled))) {
    deps.log.warning('the server does not come to the end of its shutdown: it is ended at once');
    await stopServerAtOnce(server);
  }
  return serves(state);
}

const askMs = 10_000;

/** The host for which this server was stopped may have been promoted, although this host was not informed. */
async function requireHostInRecovery(deps: StandbyDeps, host: string, timeline: number): Promise<void> {
  const { startSession } = leash(deps.startSession, [deps.signal, AbortSignal.timeout(askMs)]);
  let said: AnswerOf<'status'>;
  try {
    said = await withPeer({ ...deps, startSession }, host, (peer) => peer.call('status', {}, askMs));
  } catch (error) {
    deps.signal.throwIfAborted();
    // The token shows that the run which stopped this server, or an operator who has read its message, asks.
    deps.log.warning(`whether ${host} was promoted cannot be asked: ${messageOf(error)}`);
    return;
  }
  requireNotTaken(said, host, timeline);
}

/** A timeline that was left has another primary. */
async function requireNotLeft({ settings }: StandbyDeps, timeline: number): Promise<void> {
  const marks = (await readSentinel(settings.archivedir))?.left ?? [];
  if (!marks.some((mark) => mark.timeline === timeline)) return;
  throw refusal(`timeline ${timeline} was left: another server has taken the primary's role`, {
    hint: 'Make this host a standby of that server.',
  });
}

async function startAgain({ server, directory }: OwnServer): Promise<void> {
  const { pgdata } = directory;
  const started = await startServerProgram(server, await configurationBefore(server));
  const end = await reaches({ server, started }, serves);
  if (end.kind === 'failed')
    throw new PitrError(`the server in "${pgdata}" does not start`, { detail: end.reason });
}

/** `resume-primary`: see src/verbs/verbs.ts. */
export async function resumePrimary(
  deps: StandbyDeps,
  args: ArgumentsOf<'resume-primary'>,
): Promise<AnswerOf<'resume-primary'>> {
  // The stop that it takes back may still be running.
  return withActionLock(deps, (locked) => resumeUnderLock(locked, args), deps.settings.start_timeout * 1000);
}

async function resumeUnderLock(
  deps: StandbyDeps,
  { timeline, cluster, token }: ArgumentsOf<'resume-primary'>,
): Promise<AnswerOf<'resume-primary'>> {
  const own = await findOwnServer(deps, cluster);
  const state = await observeServer(own.server);
  const resumption = resumptionOf(own.directory.record.stoppedFor, token, state);
  if (resumption.kind === 'nothing') return { wasStopped: false };
  if (resumption.kind === 'held') return { wasStopped: false, heldBy: resumption.by };
  requireTimeline(await timelineOf(own, state), timeline);
  await requireNotLeft(deps, timeline);
  if (!serves(state)) await requireHostInRecovery(deps, resumption.host, timeline);
  // One that was started since runs as a standby, and has replayed its own WAL alone: it can be opened again.
  if (state.kind === 'recovering') await stopServerProgram(own.server);
  const isRunning = serves(state) || (await awaitEnd(own.server));
  // Also of one that serves: they were written before its stop, and its next start would be a standby's.
  await clearRecoverySettings(own.server);
  if (!isRunning) await startAgain(own);
  await changeRecord(deps.settings.pgdata, { stoppedFor: undefined });
  await noteHistory(deps, { kind: 'resumed', timeline });
  return { wasStopped: !isRunning };
}
