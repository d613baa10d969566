import { PitrError } from '../../../../errors.ts';
import { systemClock } from '../../../../system/clock.ts';
import type { StandbyDeps } from '../../../deps.ts';
import { newRun, type FailoverRun } from '../run.ts';
import { failoverHandler } from '../run-steps.ts';
import { serverOf, type Server } from '../../../server/server.ts';
import { stopServerProgram } from '../../../server/local-server.ts';
import type { StepHandler } from '../../../steps/carry-out.ts';
import { recoverySettings } from '../../../recovery/settings.ts';
import { writeRecoverySettings } from '../../../recovery/files.ts';
import { observeServer } from '../../../server/server-state.ts';
import type { RecoveryFacts } from './facts.ts';
import { askReplayed, type Replayed } from '../../../recovery/replayed.ts';
import { seeItPaused, seeItShutDown } from './see-it-end.ts';
import { describeRecoveryStep, isEndStep, type EndStep, type RecoveryStep } from './steps.ts';

/** The server's own words, in the C locale, for its ways of not getting there, and those of our restore_command. */
function explain(error: PitrError, shown: string): PitrError {
  const said = error.detail ?? '';
  const { detail, cause } = error;
  const goOn = 'or go on as a standby, with -S.';
  if (/before configured recovery target was reached|the recovery target was not reached/.test(said)) {
    return new PitrError(`the WAL in the archive ends before ${shown}`, {
      detail,
      cause,
      hint: `The server has not been opened. Choose an earlier target, or bring the missing WAL; ${goOn}`,
    });
  }
  if (!said.includes('before consistent recovery point')) return error;
  return new PitrError(`the standby has replayed past ${shown} already`, {
    detail,
    cause,
    hint: `Make a new base backup and recover from that; ${goOn}`,
  });
}

/** The signal that ended the recovery must not end its undoing. */
function undisturbed(deps: StandbyDeps): StandbyDeps {
  return {
    ...deps,
    ...systemClock(),
    signal: new AbortController().signal,
  };
}

/**
 * A recovery that did not get to its target: nobody must find it going on by itself, nor start what it has left, which would
 * open wherever it stands.
 */
async function leaveOff(
  interrupted: StandbyDeps,
  { directory, place }: RecoveryFacts,
  run: FailoverRun,
  step: RecoveryStep,
): Promise<void> {
  if (run.isOpen || (step.kind !== 'start-server' && step.kind !== 'write-settings')) return;
  const { capabilities } = directory;
  const server = serverOf(undisturbed(interrupted), capabilities);
  const state = await observeServer(server);
  if (state.kind === 'production') return;
  if (step.kind === 'start-server') {
    if (state.kind !== 'stopped') await stopServerProgram(server);
    return;
  }
  const settings = recoverySettings(capabilities, { kind: 'hold' }, place);
  await writeRecoverySettings(server, 'held', settings);
}

async function runEnd(server: Server, run: FailoverRun, step: EndStep): Promise<void> {
  switch (step.kind) {
    case 'see-it-paused':
      return seeItPaused(server, run);
    case 'see-it-shut-down':
      return seeItShutDown(server, run);
    case 'hold':
      return writeRecoverySettings(server, 'held', step.settings);
  }
}

/** What the steps learn as they go. */
export interface RecoveryRun {
  readonly failover: FailoverRun;
  reached: Replayed;
}

export function newRecoveryRun(): RecoveryRun {
  return { failover: newRun(), reached: { time: undefined, lsn: undefined } };
}

export function recoveryHandler(
  deps: StandbyDeps,
  facts: RecoveryFacts,
  recovery: RecoveryRun,
  shown: string,
): StepHandler<RecoveryStep> {
  const { failover: run } = recovery;
  const server = serverOf(deps, facts.directory.capabilities);
  const failover = failoverHandler(server, run, (error) => explain(error, shown));
  return {
    describe: describeRecoveryStep,
    run: async (step) => {
      if (!isEndStep(step)) {
        await failover.run(step);
        // A restart with other configuration files forgets it.
        if (step.kind === 'see-it-open') recovery.reached = await askReplayed(server);
        return;
      }
      try {
        await runEnd(server, run, step);
        if (step.kind === 'see-it-paused') recovery.reached = await askReplayed(server);
      } catch (error) {
        throw error instanceof PitrError ? explain(error, shown) : error;
      }
    },
    undo: (step) => leaveOff(deps, facts, run, step),
  };
}
