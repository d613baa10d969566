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
 * Marks a standby as abandoned and frees its queue. The mark goes first, then the files: killed in between, the next call frees what is left and counts it. The shipper's markers
 * go before both, because this queue may hold the only copy of what they stand for; and once more after the mark, because the
 * shipper may have left others before it could see it.
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

/** Whether an abandoned standby asks to be resumed; if it could not be asked, when it may be tried again. */
async function askForRequest(deps: ArchiverDeps, lane: Lane, cluster: Cluster) {
  const began = deps.monotonicMs();
  const use = await withDelivery(deps, lane, cluster, [], (_, request) => Promise.resolve(request));
  if (use.kind === 'used') return { request: use.value, retryAt: undefined };
  return { request: undefined, retryAt: restUntil(deps.now(), deps.monotonicMs() - began, use.trouble.kind) };
}

/**
 * An abandoned lane meets more files: asks the standby for a resume request, and without one counts them among the lost. With one
 * that was not seen before, the mark is cleared and the lane takes these files and all that follow.
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
  // Who asks without any file at hand keeps nobody waiting, and sees for itself how often that is.
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
  // The state file is not written anew each time that nothing happened.
  if (names.length > 0 || retryAt !== state.retryAt || !(await isQueueEmpty(lane.queue))) {
    await countLost(deps, lane, { ...state, retryAt }, names);
  }
  return undefined;
}

/** Notes that the abandoned standby does not get these files; whatever its queue still holds goes too. */
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

/** What `queue_full: abandon` asks for. `names` are those that found no room; the lane's lock is held. */
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
