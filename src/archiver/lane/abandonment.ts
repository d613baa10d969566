import type { ArchiverDeps } from '../deps.ts';
import { isQueueEmpty } from '../queue/queue.ts';
import type { Cluster } from '../wal/cluster.ts';
import { withDelivery } from './connect.ts';
import type { Lane } from './lane.ts';
import { countLost, rangeOf, resumeLane } from './modes.ts';
import { isResting, retryAtOf } from './policy.ts';
import { shortQuestionMs } from './standing.ts';
import type { LaneState } from './state.ts';

/** Whether an abandoned standby asks to be resumed. If it could not be asked: the time of the next try. */
async function askForRequest(deps: ArchiverDeps, lane: Lane, cluster: Cluster, state: LaneState) {
  const began = deps.monotonicMs();
  const requestOf = (_: unknown, request: string | undefined) => Promise.resolve(request);
  const use = await withDelivery(deps, lane, cluster, [], requestOf, shortQuestionMs);
  if (use.kind === 'used') return { request: use.value, retryAt: undefined };
  const waitedMs = deps.monotonicMs() - began;
  return { request: undefined, retryAt: retryAtOf(deps, state, use.trouble.kind, waitedMs) };
}

/**
 * An abandoned lane gets more files. We ask the standby for a resume request; without one, the files count as lost. A
 * new request clears the mark, and the lane accepts these files and all that follow.
 *
 * @returns the lane's state if it resumed
 */
export async function pollAbandoned(
  deps: ArchiverDeps,
  lane: Lane,
  cluster: Cluster,
  state: LaneState,
  names: readonly string[],
): Promise<LaneState | undefined> {
  if (state.abandoned === undefined) return state;
  // A caller without files delays no other work, and limits by itself how often it asks.
  const isLeftAlone = names.length > 0 && isResting(state, deps.now());
  const { request, retryAt } = isLeftAlone
    ? { request: undefined, retryAt: state.retryAt }
    : await askForRequest(deps, lane, cluster, state);
  deps.signal.throwIfAborted();
  if (request !== undefined && request !== state.seenRequest) {
    const resumed = await resumeLane(deps, lane, state, request);
    deps.log.notice(`standby ${lane.name} asked to be resumed (${rangeOf(state.abandoned)})`);
    return resumed;
  }
  // The state file is not written again if nothing has changed.
  if (names.length > 0 || retryAt !== state.retryAt || !(await isQueueEmpty(lane.queue))) {
    await countLost(deps, lane, names, { retryAt });
  }
  return undefined;
}
