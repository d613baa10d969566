import { messageOf, PitrError, unreachable } from '../../../errors.ts';
import type { LowLimit } from '../../../postgres/standby-limits.ts';
import { readPostmaster } from '../../../system/postmaster.ts';
import { readSentinel, writeSentinel } from '../../../system/sentinel.ts';
import { copyConf } from '../../host/conf-files.ts';
import type { StandbyDeps } from '../../deps.ts';
import type { Server } from '../../server/server.ts';
import { promoteServerProgram, startServerProgram, stopServerProgram } from '../../server/local-server.ts';
import { serverSteps } from '../../steps/server-steps.ts';
import type { StepHandler } from '../../steps/carry-out.ts';
import { changeRecord } from '../../backup-record/record.ts';
import { askReplayed } from '../../recovery/replayed.ts';
import { clearRecoverySettings, writeRecoverySettings } from '../../recovery/files.ts';
import { mustAnswer, observeServer } from '../../server/server-state.ts';
import { runAction } from './action.ts';
import { checkArchiving } from './archiving-check.ts';
import { seeAllReplayed } from './all-replayed.ts';
import { dropDelay, restoreDelay } from './delay.ts';
import { removeGuard, writeGuard } from '../../recovery/guard.ts';
import { proveLogin } from './prove-login.ts';
import { archiveHistory, setAsideLastSegment } from './last-segment.ts';
import type { FailoverRun } from './run.ts';
import { seeItOpen } from './see-it-open.ts';
import { describeStep, isAfterStep, type AfterStep, type FailoverStep, type OpeningStep } from './steps.ts';
import { seeArchiveReplayed } from './see-archive-replayed.ts';
import { startPromoted, useFailoverConf } from './use-conf.ts';
import { verifyWrite } from './verify.ts';

async function resumeReplay(server: Server): Promise<void> {
  const { replayResumeFunction: resume } = server.capabilities;
  if (resume === undefined) return;
  await mustAnswer(server, 'cannot resume the replay', (sql) => sql(`SELECT ${resume}()`));
}

async function promote(server: Server, run: FailoverRun): Promise<void> {
  const { deps } = server;
  // A site's own command may wait for the end of a long replay, and be ended before it.
  run.isPromoted = deps.settings.promote_command !== undefined;
  try {
    await promoteServerProgram(server);
  } catch (error) {
    // An earlier run, which was ended, may have told it so: it opens in between, and pg_ctl promotes no open server.
    if ((await observeServer(server)).kind !== 'production') throw error;
  }
  run.isPromoted = true;
}

/** A full or missing archive must not keep the rest from being done. */
async function markArchive(deps: StandbyDeps, run: FailoverRun): Promise<void> {
  const { archivedir } = deps.settings;
  try {
    const sentinel = await readSentinel(archivedir);
    if (sentinel === undefined) throw new PitrError('it has no sentinel');
    await writeSentinel(archivedir, { ...sentinel, promotedAtTimeline: run.timeline });
  } catch (error) {
    deps.log.warning(
      `archivedir "${archivedir}" cannot be marked as promoted (${messageOf(error)}): keep the old primary from delivering there`,
    );
  }
}

/** Whoever looks later at the server's parameters must find out where they come from. */
async function noteRaised(deps: StandbyDeps, limits: readonly LowLimit[]): Promise<void> {
  for (const { name, here, demanded } of limits)
    deps.log.notice(
      `${name} is raised from ${here} to ${demanded}, until the server is started next: its pg_control demands it`,
    );
  const raisedSettings = Object.fromEntries(limits.map(({ name, demanded }) => [name, demanded]));
  await changeRecord(deps.settings.pgdata, { raisedSettings });
}

async function runOpening(server: Server, run: FailoverRun, step: OpeningStep): Promise<void> {
  const { deps } = server;
  switch (step.kind) {
    case 'stop-server':
      return stopServerProgram(server);
    case 'write-settings':
      return writeRecoverySettings(server, step.mode, step.settings);
    case 'copy-conf':
      return copyConf(deps, step.copy);
    case 'raise-settings':
      return noteRaised(deps, step.limits);
    case 'start-server':
      run.started = await startServerProgram(server, step.configuration);
      return;
    case 'see-it-recover':
      await serverSteps['see-it-recover'].run({ server, started: run.started }, step);
      return;
    case 'prove-login':
      return proveLogin(server, step);
    case 'resume-replay':
      return resumeReplay(server);
    case 'drop-delay':
      return dropDelay(server);
    case 'see-archive-replayed':
      return seeArchiveReplayed(server, run, step);
    case 'guard-replay':
      return writeGuard(server.pgdata, step.end);
    case 'lift-guard':
      return removeGuard(server.pgdata);
    case 'promote':
      return promote(server, run);
    case 'see-it-open':
      await seeItOpen(server, run);
      run.isOpen = true;
      return;
    default:
      return unreachable(step);
  }
}

async function runAfter(server: Server, run: FailoverRun, step: AfterStep): Promise<void> {
  const { deps } = server;
  switch (step.kind) {
    case 'verify-write':
      run.timeline = await verifyWrite(server);
      run.replayed ??= await askReplayed(server);
      return;
    case 'start-promoted':
      return startPromoted(server, step);
    case 'record-opening':
      return changeRecord(server.pgdata, { promotedAtTimeline: run.timeline, isFailoverUnfinished: true });
    case 'mark-archive':
      return markArchive(deps, run);
    case 'clear-settings':
      return clearRecoverySettings(server);
    case 'restore-delay':
      return restoreDelay(server, step.delay);
    case 'see-all-replayed':
      run.archiveEnd = await seeAllReplayed(server, step.end, await verifyWrite(server), step.isAccepted);
      return;
    case 'set-aside-last-segment':
      return setAsideLastSegment(server, await verifyWrite(server));
    case 'use-failover-conf':
      return useFailoverConf(server, step.conf);
    case 'archive-history':
      return archiveHistory(server, await verifyWrite(server));
    case 'check-archiving':
      run.archiving = await checkArchiving(server);
      return;
    case 'run-action':
      return runAction(deps, run, step);
    case 'record-promotion':
      await removeGuard(server.pgdata);
      return changeRecord(server.pgdata, {
        promotedAtTimeline: run.timeline,
        isFailoverUnfinished: undefined,
        isActionBegun: run.actionFailure === undefined ? undefined : true,
      });
    default:
      return unreachable(step);
  }
}

/** From the moment that the server is open, a failure must not read as if nothing had happened. */
function afterwards(error: unknown): unknown {
  if (!(error instanceof PitrError)) return error;
  const { detail, hint, cause } = error;
  return new PitrError(`the failover has happened, but was not finished: ${error.message}`, {
    detail,
    hint: hint ?? 'The server here is out of recovery. Run -F999 again to finish what is left.',
    cause,
  });
}

const onlyLooks: readonly FailoverStep['kind'][] = ['see-it-recover', 'prove-login', 'guard-replay'];

export function failoverHandler(
  server: Server,
  run: FailoverRun,
  explainNotOpen: (error: PitrError) => PitrError = (error) => error,
): StepHandler<FailoverStep> {
  const { deps } = server;
  return {
    describe: describeStep,
    leavesNothing: ({ kind }) => onlyLooks.includes(kind),
    run: async (step) => {
      try {
        if (isAfterStep(step)) await runAfter(server, run, step);
        else await runOpening(server, run, step);
      } catch (error) {
        if (isAfterStep(step)) throw afterwards(error);
        throw step.kind === 'see-it-open' && error instanceof PitrError ? explainNotOpen(error) : error;
      }
    },
    undo: async (step) => {
      // A server that goes on to open must go on to be kept from opening too early.
      if (step.kind === 'guard-replay' && !run.isPromoted) return removeGuard(server.pgdata);
      if (step.kind === 'drop-delay') return restoreDelay(server, step.delay);
      // A recovery that did not get to its moment must not be tried again by whoever starts the server next.
      if (step.kind !== 'write-settings' || step.mode !== 'recovery' || run.isOpen) return;
      // One that runs goes on to the end of the WAL. Without its recovery.conf it would end there in a way after which the next
      // start opens on the old timeline.
      const { kind } = await readPostmaster(server.pgdata);
      if (kind === 'running' || kind === 'unclear') {
        deps.log.warning('the server goes on with its recovery, and opens by itself: run -F999 again');
        return;
      }
      await clearRecoverySettings(server);
    },
  };
}
