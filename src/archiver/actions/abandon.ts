import { PitrError } from '../../errors.ts';
import type { ActionOptions, ArchiverDeps } from '../deps.ts';
import { type Lane, lanesOf, withLaneLock } from '../lane/lane.ts';
import { abandonLane, rangeOf, resumeLane } from '../lane/modes.ts';
import { readLaneState } from '../lane/state.ts';
import { listQueue } from '../queue/queue.ts';

/** Longer than any other process holds a lane, except a --flush of a long queue. */
const lockWaitMs = 30_000;

async function withLane(
  deps: ArchiverDeps,
  standby: string,
  use: (lane: Lane) => Promise<void>,
): Promise<void> {
  const lanes = lanesOf(deps);
  const lane = lanes.find(({ name }) => name === standby);
  if (lane === undefined) {
    throw new PitrError(`"${standby}" is not a standby of this configuration`, {
      hint: `Known: ${lanes.map(({ name }) => name).join(', ')}.`,
    });
  }
  return withLaneLock(
    deps,
    lane,
    lockWaitMs,
    () => use(lane),
    () => {
      throw new PitrError(`another process is sending to standby "${standby}"`, {
        hint: 'End the running cmd_archiver --flush, or wait for it, and try again.',
      });
    },
  );
}

/** `--abandon`: the standby gets no more WAL and its queue is freed, until it is resumed for a new base backup. */
export async function abandonStandby(
  deps: ArchiverDeps,
  standby: string,
  options: ActionOptions,
): Promise<void> {
  await withLane(deps, standby, async (lane) => {
    const queued = await listQueue(lane.queue);
    if (options.dryRun) {
      deps.report(`Would abandon standby ${standby} and remove ${queued.length} files from its queue`);
      return;
    }
    const range = rangeOf(await abandonLane(deps, lane, { by: 'operator', names: [] }));
    deps.report(`Standby ${standby} is abandoned; ${queued.length} files removed from its queue (${range})`);
    deps.report(`It needs a new base backup: run cmd_standby -B there`);
  });
}

/** `--resume`: the standby gets WAL again from the next segment on. It is asked what it lacks, and gets what is still here. */
export async function resumeStandby(
  deps: ArchiverDeps,
  standby: string,
  options: ActionOptions,
): Promise<void> {
  await withLane(deps, standby, async (lane) => {
    const state = await readLaneState(lane);
    if (state.abandoned === undefined) {
      deps.report(`Standby ${standby} is not abandoned`);
      return;
    }
    const verb = options.dryRun ? 'Would resume' : 'Resumed';
    if (!options.dryRun) await resumeLane(deps, lane, state, state.seenRequest);
    deps.report(`${verb} standby ${standby} (${rangeOf(state.abandoned)})`);
    deps.report('It is asked what it lacks, and gets what is still here; the rest is reported as a gap');
    deps.report(
      'Without that WAL it needs a base backup that begins after this moment: run cmd_standby -B there',
    );
  });
}
