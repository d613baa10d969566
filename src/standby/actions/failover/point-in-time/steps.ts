import { PitrError } from '../../../../errors.ts';
import { systemClock } from '../../../../system/clock.ts';
import { writeRecoverySettings } from '../../../recovery/files.ts';
import { forgetPause, notePause } from '../../../recovery/left-pause.ts';
import { pauseReplay, resumeReplay } from '../../../recovery/pause.ts';
import { askReplayed, type Replayed } from '../../../recovery/replayed.ts';
import type { RequestedTarget } from '../../../recovery/requested-target.ts';
import { type RecoveryPlace, recoverySettings } from '../../../recovery/settings.ts';
import { chooseTarget, type TargetBounds } from '../../../recovery/target.ts';
import { hasLeftRecovery } from '../../../server/data-directory.ts';
import { stopServerProgram } from '../../../server/local-server.ts';
import { type Server, serverOf } from '../../../server/server.ts';
import { observeServer } from '../../../server/server-state.ts';
import type { StepEntry, StepsOf } from '../../../steps/step-table.ts';
import { explained, type FailoverRun, step } from '../run.ts';
import { failoverSteps } from '../steps.ts';
import { seeItPaused, seeItShutDown } from './see-it-end.ts';

/** A failover whose server must stop replaying at a target. */
export interface RecoveryRun extends FailoverRun {
  readonly place: RecoveryPlace;
  /** The target, for messages. */
  readonly shown: string;
  /** The server's answer at the target: after a restart with other configuration files it does not know this any more. */
  reached?: Replayed;
}

/** Explains why the target was not reached, by the messages of the server (in the C locale) and of our restore_command. */
function explain(error: PitrError, { shown }: RecoveryRun): PitrError {
  const { detail = '', cause } = error;
  const otherwise = 'or start it as a standby again, with -S.';
  if (/before configured recovery target was reached|the recovery target was not reached/.test(detail)) {
    return new PitrError(`the WAL in the archive ends before ${shown}`, {
      detail,
      cause,
      hint: `The server has not been opened. Choose an earlier target, or get the missing WAL; ${otherwise}`,
    });
  }
  if (!detail.includes('before consistent recovery point')) return error;
  return new PitrError(`the standby has replayed past ${shown} already`, {
    detail,
    cause,
    hint: `Make a new base backup and recover from that; ${otherwise}`,
  });
}

/** A step that waits until the server reaches its target, or that comes after it. */
function atTarget<P>(entry: StepEntry<P, RecoveryRun>): StepEntry<P, RecoveryRun> {
  return explained(entry, explain);
}

async function noteReached(run: RecoveryRun): Promise<void> {
  run.reached = await askReplayed(run.server);
}

/** The signal that ended the recovery must not interrupt the undoing. */
function withoutAbort({ deps, capabilities }: Server): Server {
  return serverOf({ ...deps, ...systemClock(), signal: new AbortController().signal }, capabilities);
}

async function stopUnlessOpen(run: RecoveryRun): Promise<void> {
  if (run.opening === 'done') return;
  const server = withoutAbort(run.server);
  const { kind } = await observeServer(server);
  if (kind !== 'production' && kind !== 'stopped') await stopServerProgram(server);
  // It may have opened right before it ended. The record then stays: the next -F999 finishes what this run decided.
  const isOpen = kind === 'production' || (await hasLeftRecovery(server.pgdata));
  run.opening = isOpen ? 'done' : 'not begun';
}

async function hold({ server, place }: RecoveryRun): Promise<void> {
  const settings = recoverySettings(server.capabilities, { kind: 'hold' }, place);
  await writeRecoverySettings(server, 'held', settings);
}

/**
 * A recovery that did not reach its target must not continue by itself. Nothing else may start its server, which would
 * open wherever it stands.
 */
async function holdUnlessOpen(run: RecoveryRun): Promise<void> {
  if (run.opening === 'done') return;
  const server = withoutAbort(run.server);
  if ((await observeServer(server)).kind !== 'production') await hold({ ...run, server });
}

async function resumeIfRecovering(server: Server): Promise<void> {
  const state = await observeServer(server);
  if (state.kind === 'recovering' && state.answers) await resumeReplay(server);
}

interface AtTarget {
  readonly target: string;
}

interface BeforeTarget {
  readonly requested: RequestedTarget;
  readonly bounds: TargetBounds;
}

export const recoverySteps = {
  ...failoverSteps,
  /** A standby that runs must not replay past the target while it is being stopped. */
  'pause-replay': step({
    say: () => 'pause the replay',
    run: async ({ server }) => {
      await notePause(server);
      await pauseReplay(server);
    },
    undo: async ({ server }) => {
      await resumeIfRecovering(withoutAbort(server));
      await forgetPause(server);
    },
    leavesNothing: true,
  }),
  /** After 'pause-replay': the standby could have come further meanwhile. */
  'see-it-before': step<BeforeTarget>({
    say: () => 'check that it has not replayed past the target',
    run: async ({ server }, { requested, bounds }) => {
      const { time, lsn } = await askReplayed(server);
      const now = { ...bounds, replayed: time, replayedLsn: lsn };
      chooseTarget(requested.goal, now, requested.exclusive);
    },
    leavesNothing: true,
  }),
  'write-settings': { ...failoverSteps['write-settings'], undo: holdUnlessOpen },
  'start-server': { ...failoverSteps['start-server'], undo: stopUnlessOpen },
  'see-it-open': atTarget({
    ...failoverSteps['see-it-open'],
    run: async (run, step) => {
      await failoverSteps['see-it-open'].run(run, step);
      await noteReached(run);
    },
  }),
  'see-it-paused': atTarget<AtTarget>({
    say: ({ target }) => `wait until it has recovered to ${target} and pauses there`,
    run: async (run) => {
      await seeItPaused(run);
      await noteReached(run);
    },
  }),
  'see-it-shut-down': atTarget<AtTarget>({
    say: ({ target }) => `wait until it has recovered to ${target} and has shut down there`,
    run: seeItShutDown,
  }),
  /** Prevents all other programs from starting a server whose recovery was interrupted. */
  hold: atTarget<unknown>({
    say: () => 'keep the server from being started by anything but cmd_standby',
    run: hold,
  }),
};

export type RecoveryStep = StepsOf<typeof recoverySteps>;
