import type { StandbyTarget } from '../../config/options-archiver.ts';
import type { ArchiverDeps } from '../deps.ts';
import { layoutOf, queueOf } from '../layout.ts';
import { withdrawMarkers } from '../markers/markers.ts';
import { shipperPlaces } from '../markers/places.ts';
import { isQueueEmpty, listQueue, removeFromQueue } from '../queue/queue.ts';
import type { Cluster } from '../wal/cluster.ts';
import { withDelivery } from './lane.ts';
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
  standby: string,
  state: LaneState,
  abandoned: Abandoned,
): Promise<LaneState> {
  const layout = layoutOf(deps.settings.l_archivedir);
  const places = shipperPlaces(layout);
  const queued = await listQueue(queueOf(layout, standby));
  const names = queued.map(({ name }) => name);
  const lost: LaneState = { ...state, health: 'abandoned', abandoned: withLost(abandoned, names) };
  if (queued.length === 0 && state.abandoned !== undefined) {
    await writeLaneState(layout, standby, lost);
    return lost;
  }
  const marked = { ...lost, freed: deps.nonce() };
  await withdrawMarkers(places);
  await writeLaneState(layout, standby, marked);
  await withdrawMarkers(places);
  await removeFromQueue(queueOf(layout, standby), queued);
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
async function askForRequest(deps: ArchiverDeps, standby: StandbyTarget, cluster: Cluster) {
  const began = deps.monotonicMs();
  const use = await withDelivery(deps, standby, cluster, [], (_, request) => Promise.resolve(request));
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
  standby: StandbyTarget,
  cluster: Cluster,
  state: LaneState,
  names: readonly string[],
): Promise<LaneState | undefined> {
  if (state.abandoned === undefined) return state;
  const layout = layoutOf(deps.settings.l_archivedir);
  // Who asks without any file at hand keeps nobody waiting, and sees for itself how often that is.
  const isLeftAlone = names.length > 0 && isResting(state, deps.now());
  const { request, retryAt } = isLeftAlone
    ? { request: undefined, retryAt: state.retryAt }
    : await askForRequest(deps, standby, cluster);
  deps.signal.throwIfAborted();
  if (request !== undefined && request !== state.seenRequest) {
    const resumed = resumedState(state, request);
    await writeLaneState(layout, standby.name, resumed);
    deps.log.notice(`standby ${standby.name} asked to be resumed (${rangeOf(state.abandoned)})`);
    return resumed;
  }
  // The state file is not written anew each time that nothing happened.
  if (names.length > 0 || retryAt !== state.retryAt || !(await isQueueEmpty(queueOf(layout, standby.name)))) {
    await countLost(deps, standby.name, { ...state, retryAt }, names);
  }
  return undefined;
}

/** Notes that the abandoned standby does not get these files; whatever its queue still holds goes too. */
export async function countLost(
  deps: ArchiverDeps,
  standby: string,
  state: LaneState,
  names: readonly string[],
): Promise<void> {
  if (state.abandoned === undefined) return;
  const abandoned = withLost(state.abandoned, names);
  const marked = await markAndFree(deps, standby, state, abandoned);
  const reason = rangeOf(marked.abandoned ?? abandoned);
  const finding = { health: 'abandoned', retryAt: state.retryAt, segment: names.at(-1), reason } as const;
  await recordFinding(deps, standby, marked, finding);
}

/** What `queue_full: abandon` asks for. `names` are those that found no room; the lane's lock is held. */
export async function abandonByPolicy(
  deps: ArchiverDeps,
  standby: string,
  reason: string,
  names: readonly string[],
): Promise<void> {
  const state = await readLaneState(layoutOf(deps.settings.l_archivedir), standby);
  const since = new Date(deps.now()).toISOString();
  const abandoned = withLost(state.abandoned ?? { since, by: 'policy' }, names);
  const marked = await markAndFree(deps, standby, state, abandoned);
  const range = rangeOf(marked.abandoned ?? abandoned);
  await recordFinding(deps, standby, marked, { health: 'abandoned', reason: `${reason} (${range})` });
}
