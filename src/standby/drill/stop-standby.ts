/**
 * A standby of which no base backup can be made while it runs is stopped for its copy, if `drill_may_stop` allows it. A mark in
 * the directory of the run says so from before the stop, so that whatever ends the drill, the standby is started again: at
 * its end, or by the next one.
 */
import { join } from 'node:path';
import { messageOf, PitrError } from '../../errors.ts';
import { exists, removeDurably, writeDurably } from '../../system/durable.ts';
import type { StandbyDeps } from '../deps.ts';
import { withActionLock } from '../host/action-lock.ts';
import { hasUnfinishedFailover } from '../recovery/unfinished-failover.ts';
import { type DataDirectory, readDataDirectory } from '../server/data-directory.ts';
import { notStartedHere, stopServerProgram } from '../server/local-server.ts';
import { mustRecover } from '../server/reach.ts';
import { type Server, serverOf } from '../server/server.ts';
import { readConfiguration } from '../server/server-configuration.ts';
import { observeServer } from '../server/server-state.ts';
import { serverSteps } from '../steps/server-steps.ts';
import type { DrillPlace } from './place.ts';

const markName = 'standby-stopped';

/** --cleanup and others hold the lock for moments. */
const lockWaitMs = 60_000;

/** @param requireSame throws if the standby must not be stopped any more: another action may have held the lock until now */
export async function stopStandby(
  deps: StandbyDeps,
  { capabilities }: Server,
  { run }: Pick<DrillPlace, 'run'>,
  requireSame: () => Promise<void>,
) {
  await withActionLock(
    deps,
    async (own) => {
      await requireSame();
      await writeDurably(join(run, markName), '');
      await stopServerProgram(serverOf(own, capabilities));
    },
    lockWaitMs,
  );
}

/** Standard output is for the report of the drill. */
function quietly(deps: StandbyDeps): StandbyDeps {
  return {
    ...deps,
    report: (line) => {
      deps.log.notice(line);
    },
  };
}

/** A change of roles that began meanwhile starts the server by itself, or must not have it started. */
function isToStart({ record, hasRecoverySettings, ...directory }: DataDirectory): boolean {
  const isUnderWay =
    record.promotion !== undefined ||
    record.switchover !== undefined ||
    hasUnfinishedFailover({ ...directory, record, hasRecoverySettings });
  return !isUnderWay && hasRecoverySettings;
}

async function start(own: StandbyDeps): Promise<void> {
  const directory = await readDataDirectory(own.settings.pgdata);
  const server = serverOf(own, directory.capabilities);
  if ((await observeServer(server)).kind !== 'stopped') return;
  if (!isToStart(directory)) {
    own.log.warning(
      `the standby was stopped for a drill, and "${directory.pgdata}" is none any more: it is not started`,
    );
    return;
  }
  const configuration = await readConfiguration(server, 'standby');
  const context = { server, started: notStartedHere };
  await serverSteps['start-server'].run(context, { configuration });
  await mustRecover(context, {
    mayBeOpen: false,
    message: 'the standby was started again after a drill, but is not seen recovering',
  });
}

/** Does nothing if no drill has stopped it. */
export async function startStandbyAgain(deps: StandbyDeps, { run }: DrillPlace): Promise<void> {
  const mark = join(run, markName);
  if (!(await exists(mark))) return;
  try {
    await withActionLock(quietly(deps), start, lockWaitMs);
  } catch (error) {
    throw new PitrError(
      `the standby was stopped for a drill, and cannot be started again: ${messageOf(error)}`,
      {
        detail: error instanceof PitrError ? error.detail : undefined,
        hint: 'Start it: cmd_standby -C FILE -A start',
        cause: error,
      },
    );
  }
  await removeDurably(mark);
}
