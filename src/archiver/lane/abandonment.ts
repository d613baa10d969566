import type { ArchiverDeps } from '../deps.ts';
import { withdrawMarkers } from '../markers/markers.ts';
import { shipperPlaces } from '../markers/places.ts';
import { isQueueEmpty, listQueue, removeFromQueue } from '../queue/queue.ts';
import type { Cluster } from '../wal/cluster.ts';
import { withDelivery } from './connect.ts';
import type { Lane } from './lane.ts';
import { recordFinding } from './report.ts';
import {
  isResting,
  readLaneState,
  restUntil,
  withLost,
  writeLaneState,
  type Abandoned,
  type LaneState,
} from './state.ts';

export function rangeOf({ firstLost, lastLost }: Abandoned): string {
  if (firstLost === undefined || lastLost === undefined) return 'nothing was lost yet';
  return `lost: ${firstLost} to ${lastLost}`;
}

/**
 * Marks a standby as abandoned and frees its queue. The mark is written first, then the files are removed: if we are
 * killed in between, the next call frees the rest and counts it. The shipper's markers are withdrawn before both,
 * because this queue may hold the only copy that they stand for; and once more after the mark, because the shipper
 * may have left others before it could see the mark.
 */
export async function markAndFree(
  deps: ArchiverDeps,
  lane: Lane,
  state: LaneState,
  abandoned: Abandoned,
): Promise<LaneState> {
  const places = shipperPlaces(deps.layout);
  const queued = await listQueue(lane.queue);
  const names = queued.map(({ name }) => name);
  const lost: LaneState = { ...state, health: 'abandoned', abandoned: withLost(abandoned, names) };
  if (queued.length === 0 && state.abandoned !== undefined) {
    await writeLaneState(lane, lost);
    return lost;
  }
  const marked = { ...lost, freed: deps.nonce() };
  await withdrawMarkers(places);
  await writeLaneState(lane, marked);
  await withdrawMarkers(places);
  await removeFromQueue(lane.queue, queued);
  return marked;
}

export function resumedState(state: LaneState, request: string | undefined): LaneState {
  return {
    health: 'behind',
    reason: 'resumed',
    ...(state.said === undefined ? {} : { said: state.said }),
    ...(state.freed === undefined ? {} : { freed: state.freed }),
    ...(request === undefined ? {} : { seenRequest: request }),
  };
}

/** Whether an abandoned standby asks to be resumed; if it could not be asked, when the next try may be made. */
async function askForRequest(deps: ArchiverDeps, lane: Lane, cluster: Cluster) {
  const began = deps.monotonicMs();
  const use = await withDelivery(deps, lane, cluster, [], (_, request) => Promise.resolve(request));
  if (use.kind === 'used') return { request: use.value, retryAt: undefined };
  return { request: undefined, retryAt: restUntil(deps.now(), deps.monotonicMs() - began, use.trouble.kind) };
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
  // A caller without files delays nobody, and limits by itself how often it asks.
  const isLeftAlone = names.length > 0 && isResting(state, deps.now());
  const { request, retryAt } = isLeftAlone
    ? { request: undefined, retryAt: state.retryAt }
    : await askForRequest(deps, lane, cluster);
  deps.signal.throwIfAborted();
  if (request !== undefined && request !== state.seenRequest) {
    const resumed = resumedState(state, request);
    await writeLaneState(lane, resumed);
    deps.log.notice(`standby ${lane.name} asked to be resumed (${rangeOf(state.abandoned)})`);
    return resumed;
  }
  // The state file is not written again if nothing has changed.
  if (names.length > 0 || retryAt !== state.retryAt || !(await isQueueEmpty(lane.queue))) {
    await countLost(deps, lane, { ...state, retryAt }, names);
  }
  return undefined;
}

/** Notes that the abandoned standby does not get these files, and removes what its queue still holds. */
export async function countLost(
  deps: ArchiverDeps,
  lane: Lane,
  state: LaneState,
  names: readonly string[],
): Promise<void> {
  if (state.abandoned === undefined) return;
  const abandoned = withLost(state.abandoned, names);
  const marked = await markAndFree(deps, lane, state, abandoned);
  const reason = rangeOf(marked.abandoned ?? abandoned);
  const finding = { health: 'abandoned', retryAt: state.retryAt, segment: names.at(-1), reason } as const;
  await recordFinding(deps, lane, marked, finding);
}

/** Carries out `queue_full: abandon`. `names` are the files that found no room; the caller holds the lane's lock. */
export async function abandonByPolicy(
  deps: ArchiverDeps,
  lane: Lane,
  reason: string,
  names: readonly string[],
): Promise<void> {
  const state = await readLaneState(lane);
  const since = new Date(deps.now()).toISOString();
  const abandoned = withLost(state.abandoned ?? { since, by: 'policy' }, names);
  const marked = await markAndFree(deps, lane, state, abandoned);
  const range = rangeOf(marked.abandoned ?? abandoned);
  await recordFinding(deps, lane, marked, { health: 'abandoned', reason: `${reason} (${range})` });
}
