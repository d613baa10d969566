import type { StandbyTarget } from '../../config/options-archiver.ts';
import { PitrError } from '../../errors.ts';
import { takeLock } from '../../system/lock.ts';
import type { Cluster } from '../wal/cluster.ts';
import type { ActionOptions, ArchiverDeps } from '../deps.ts';
import { withDelivery } from '../lane/lane.ts';
import { recordFinding } from '../lane/report.ts';
import {
  isResting,
  readLaneState,
  restUntil,
  withLost,
  writeLaneState,
  type Abandoned,
  type LaneState,
} from '../lane/state.ts';
import { layoutOf, lockFileOf, queueOf } from '../layout.ts';
import { isQueueEmpty, listQueue, removeFromQueue } from '../queue/queue.ts';
import { withdrawMarkers } from '../markers/markers.ts';
import { shipperPlaces } from '../markers/places.ts';

function rangeOf({ firstLost, lastLost }: Abandoned): string {
  if (firstLost === undefined || lastLost === undefined) return 'nothing was lost yet';
  return `lost: ${firstLost} to ${lastLost}`;
}

/**
 * The mark goes first, then the files: killed in between, the next call frees what is left and counts it. The shipper's markers
 * go before both, because this queue may hold the only copy of what they stand for; and once more after the mark, because the
 * shipper may have left others before it could see it.
 */
async function markAndFree(
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

function resumedState(state: LaneState, request: string | undefined): LaneState {
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

/** Longer than any call that holds a lane, but for a --flush of a long queue. */
const lockWaitMs = 30_000;

async function withLane<T>(deps: ArchiverDeps, standby: string, use: () => Promise<T>): Promise<T> {
  if (!deps.settings.standbys.some(({ name }) => name === standby)) {
    throw new PitrError(`"${standby}" is not a standby of this configuration`, {
      hint: `Known: ${deps.settings.standbys.map(({ name }) => name).join(', ')}.`,
    });
  }
  const layout = layoutOf(deps.settings.l_archivedir);
  const lock = await takeLock(deps.run, lockFileOf(layout, standby), lockWaitMs);
  if (lock === undefined) {
    throw new PitrError(`another process is sending to standby "${standby}"`, {
      hint: 'End the running cmd_archiver --flush, or wait for it, and try again.',
    });
  }
  try {
    return await use();
  } finally {
    await lock.release();
  }
}

/** `--abandon`: the standby gets no WAL any more and its queue is freed, until it is resumed for a new base backup. */
export async function abandonStandby(
  deps: ArchiverDeps,
  standby: string,
  options: ActionOptions,
): Promise<void> {
  await withLane(deps, standby, async () => {
    const layout = layoutOf(deps.settings.l_archivedir);
    const state = await readLaneState(layout, standby);
    const queued = await listQueue(queueOf(layout, standby));
    if (options.dryRun) {
      deps.report(`Would abandon standby ${standby} and remove ${queued.length} files from its queue`);
      return;
    }
    const since = new Date(deps.now()).toISOString();
    const marked = await markAndFree(deps, standby, state, state.abandoned ?? { since, by: 'operator' });
    const range = rangeOf(marked.abandoned ?? { since, by: 'operator' });
    deps.report(`Standby ${standby} is abandoned; ${queued.length} files removed from its queue (${range})`);
    deps.report(`It needs a new base backup: run cmd_standby -B there`);
    await recordFinding(deps, standby, marked, { health: 'abandoned', reason: range });
  });
}

/** `--resume`: the standby takes WAL again from the next segment on. What it lost meanwhile stays lost. */
export async function resumeStandby(
  deps: ArchiverDeps,
  standby: string,
  options: ActionOptions,
): Promise<void> {
  await withLane(deps, standby, async () => {
    const layout = layoutOf(deps.settings.l_archivedir);
    const state = await readLaneState(layout, standby);
    if (state.abandoned === undefined) {
      deps.report(`Standby ${standby} is not abandoned`);
      return;
    }
    const verb = options.dryRun ? 'Would resume' : 'Resumed';
    if (!options.dryRun) await writeLaneState(layout, standby, resumedState(state, state.seenRequest));
    deps.report(`${verb} standby ${standby} (${rangeOf(state.abandoned)})`);
    deps.report('It needs a base backup that begins after this moment: run cmd_standby -B there');
  });
}
