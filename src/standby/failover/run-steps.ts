import { messageOf, PitrError, unreachable } from '../../errors.ts';
import { describeResult, succeeded } from '../../system/command.ts';
import { readSentinel, writeSentinel } from '../../system/sentinel.ts';
import { copyConf } from '../conf-files.ts';
import type { StandbyDeps } from '../deps.ts';
import {
  notStartedHere,
  promoteServerProgram,
  serverLogTail,
  startServerProgram,
  stopServerProgram,
  type Started,
} from '../local-server.ts';
import type { StepHandler } from '../plan.ts';
import { changeRecord } from '../record.ts';
import { clearRecoverySettings, writeRecoverySettings } from '../recovery/recovery-files.ts';
import type { DataDirectory } from '../server/data-directory.ts';
import { waitUntilRecovering } from '../server/recovering.ts';
import { mustAnswer, observeServer } from '../server/server-state.ts';
import { runSiteCommand } from '../server/shell-command.ts';
import { mustBecome, type Look } from '../server/wait.ts';
import { checkArchiving } from './archiving-check.ts';
import { archiveHistory, setAsideLastSegment } from './last-segment.ts';
import { describeStep, isAfterStep, type AfterStep, type FailoverStep, type OpeningStep } from './steps.ts';
import { useFailoverConf } from './use-conf.ts';
import { verifyWrite } from './verify.ts';

/** What the steps learn as they go. */
export interface FailoverRun {
  started: Started;
  isOpen: boolean;
  /** Since when pg_control says so, while the server answers nothing. */
  openSinceMs: number | undefined;
  timeline: number | undefined;
  /** How action_failover failed; undefined while it has not. */
  actionFailure: string | undefined;
}

export function newRun(): FailoverRun {
  return {
    started: notStartedHere,
    isOpen: false,
    openSinceMs: undefined,
    timeline: undefined,
    actionFailure: undefined,
  };
}

async function seeItRecover(deps: StandbyDeps, directory: DataDirectory, run: FailoverRun): Promise<void> {
  const seen = await waitUntilRecovering(deps, directory.capabilities, run.started);
  if (seen.kind === 'done') return;
  throw new PitrError('the server was started, but is not seen recovering', {
    detail: `${seen.reason}; ${await serverLogTail(deps, run.started)}`,
    hint: 'The reason stands in the server log. The server has not been promoted.',
  });
}

/** A server that is open and lets us not in must not look like one that is still recovering. */
const unansweredMs = 10_000;

function hasBeenOpen(deps: StandbyDeps, run: FailoverRun): boolean {
  const nowMs = deps.now().getTime();
  run.openSinceMs ??= nowMs;
  return nowMs - run.openSinceMs >= unansweredMs;
}

async function lookForOpen(
  deps: StandbyDeps,
  directory: DataDirectory,
  run: FailoverRun,
): Promise<Look<undefined>> {
  const state = await observeServer(deps, directory.capabilities, run.started);
  if (state.kind === 'production' && (state.answers || hasBeenOpen(deps, run)))
    return { kind: 'done', value: undefined };
  if (state.kind === 'stopped') return { kind: 'failed', reason: 'it has stopped' };
  return { kind: 'waiting', progress: 'progress' in state ? state.progress : state.kind };
}

async function seeItOpen(deps: StandbyDeps, directory: DataDirectory, run: FailoverRun): Promise<void> {
  await mustBecome(
    deps,
    deps.settings.start_timeout,
    () => lookForOpen(deps, directory, run),
    async (reason) =>
      new PitrError('the server is not seen out of recovery', {
        detail: `${reason}; ${await serverLogTail(deps, run.started)}`,
        hint: 'The reason stands in the server log. When it is mended, run -F999 again.',
      }),
  );
}

async function resumeReplay(deps: StandbyDeps, directory: DataDirectory): Promise<void> {
  const { replayResumeFunction: resume } = directory.capabilities;
  if (resume === undefined) return;
  await mustAnswer(deps, directory.capabilities, 'cannot resume the replay', (sql) =>
    sql(`SELECT ${resume}()`),
  );
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

async function runAction(deps: StandbyDeps, run: FailoverRun, command: string): Promise<void> {
  const { settings } = deps;
  const message = `failed over to ${deps.hostName}, timeline ${run.timeline ?? 0}`;
  const env = {
    PITRTOOLS_PROGRAM: 'cmd_standby',
    PITRTOOLS_STANDBY: deps.hostName,
    PITRTOOLS_PRIMARY: settings.master_public_ip,
    PITRTOOLS_PGDATA: settings.pgdata,
    PITRTOOLS_ARCHIVEDIR: settings.archivedir,
    PITRTOOLS_TIMELINE: String(run.timeline ?? 0),
    PITRTOOLS_MESSAGE: message,
  };
  const result = await runSiteCommand(deps, command, actionLimitMs, { env, args: [message] });
  if (!succeeded(result)) run.actionFailure = describeResult(result);
}

/** A site's script may well wait for an address to move; it may not wait for ever. */
const actionLimitMs = 600_000;

async function runOpening(
  deps: StandbyDeps,
  directory: DataDirectory,
  run: FailoverRun,
  step: OpeningStep,
): Promise<void> {
  const { capabilities } = directory;
  switch (step.kind) {
    case 'stop-server':
      return stopServerProgram(deps, capabilities);
    case 'write-settings':
      return writeRecoverySettings(deps, directory, step.mode, step.settings);
    case 'copy-conf':
      return copyConf(deps, step.copy);
    case 'start-server':
      run.started = await startServerProgram(deps, capabilities, step.configuration);
      return;
    case 'see-it-recover':
      return seeItRecover(deps, directory, run);
    case 'resume-replay':
      return resumeReplay(deps, directory);
    case 'promote':
      return promoteServerProgram(deps, capabilities);
    case 'see-it-open':
      await seeItOpen(deps, directory, run);
      run.isOpen = true;
      return;
    default:
      return unreachable(step);
  }
}

async function runAfter(
  deps: StandbyDeps,
  directory: DataDirectory,
  run: FailoverRun,
  step: AfterStep,
): Promise<void> {
  const { capabilities } = directory;
  switch (step.kind) {
    case 'verify-write':
      run.timeline = await verifyWrite(deps, capabilities);
      return;
    case 'mark-archive':
      return markArchive(deps, run);
    case 'clear-settings':
      return clearRecoverySettings(deps, directory);
    case 'set-aside-last-segment':
      return setAsideLastSegment(deps, directory, await verifyWrite(deps, capabilities));
    case 'use-failover-conf':
      return useFailoverConf(deps, capabilities, step.conf);
    case 'archive-history':
      return archiveHistory(deps, directory, await verifyWrite(deps, capabilities));
    case 'check-archiving':
      return checkArchiving(deps, capabilities);
    case 'run-action':
      return runAction(deps, run, step.command);
    case 'record-promotion':
      return changeRecord(directory.pgdata, { promotedAtTimeline: run.timeline });
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

export function failoverHandler(
  deps: StandbyDeps,
  directory: DataDirectory,
  run: FailoverRun,
  explainNotOpen: (error: PitrError) => PitrError = (error) => error,
): StepHandler<FailoverStep> {
  return {
    describe: describeStep,
    run: async (step) => {
      try {
        if (isAfterStep(step)) await runAfter(deps, directory, run, step);
        else await runOpening(deps, directory, run, step);
      } catch (error) {
        if (isAfterStep(step)) throw afterwards(error);
        throw step.kind === 'see-it-open' && error instanceof PitrError ? explainNotOpen(error) : error;
      }
    },
    undo: async (step) => {
      // A recovery that did not get to its moment must not be tried again by whoever starts the server next.
      if (step.kind !== 'write-settings' || step.mode !== 'recovery' || run.isOpen) return;
      await clearRecoverySettings(deps, directory);
    },
  };
}
