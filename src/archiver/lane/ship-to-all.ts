import { PitrError } from '../../errors.ts';
import type { Delivery } from '../delivery/delivery.ts';
import type { Concern, Trouble } from '../delivery/trouble.ts';
import type { ArchiverDeps } from '../deps.ts';
import { writeLedger } from '../ledger/ledger.ts';
import type { LocalCopy } from '../queue/local-copy.ts';
import { isQueueEmpty } from '../queue/queue.ts';
import type { Cluster } from '../wal/cluster.ts';
import type { WalFile } from '../wal/wal-file.ts';
import { pollAbandoned } from './abandonment.ts';
import { withDelivery } from './connect.ts';
import { type Lane, withLaneLock } from './lane.ts';
import { abandonLane, type Finding, noteRequest, recordFinding } from './modes.ts';
import {
  answerFull,
  expectedError,
  findingOf,
  fullnessOf,
  isResting,
  queueWithinLimits,
  reasonOf,
  troubleOfError,
} from './policy.ts';
import { firstNames, type Pace, sendFile, sendQueue } from './send.ts';
import { beginQuestion, shortQuestionMs, takeStandings } from './standing.ts';
import { type LaneState, readLaneState, wellBut } from './state.ts';

/** The outcome of one file on one lane. The first two mean that a safe copy exists. */
export type LaneOutcome =
  | { readonly kind: 'delivered' }
  | { readonly kind: 'queued'; readonly trouble: Trouble | undefined }
  | { readonly kind: 'abandoned' }
  | { readonly kind: 'failed'; readonly reason: string; readonly error: PitrError };

/** One file on its way to one standby. */
export interface Shipment {
  readonly deps: ArchiverDeps;
  readonly lane: Lane;
  readonly file: WalFile;
  readonly cluster: Cluster;
  /** For the queues of all standbys. */
  readonly copy: LocalCopy;
  /** Begins the time of this call for one connection. */
  readonly beginPace: () => Pace;
}

/** The result of one connection. */
interface Attempt {
  readonly isDelivered: boolean;
  readonly isQueueEmpty: boolean;
  readonly trouble: Trouble | undefined;
  readonly seenRequest?: string | undefined;
  readonly concern?: Concern | undefined;
}

function failed(trouble: Trouble): Attempt {
  return { isDelivered: false, isQueueEmpty: false, trouble };
}

/** Older files first; the new one itself only when it is not queued behind them. */
async function useDelivery(shipment: Shipment, delivery: Delivery, isQueued: boolean): Promise<Attempt> {
  const { deps, lane, file } = shipment;
  const pace = shipment.beginPace();
  const { trouble, isEmpty } = await sendQueue(deps, lane, delivery, pace);
  if (trouble !== undefined || isQueued || !isEmpty) {
    return { isDelivered: isQueued && isEmpty, isQueueEmpty: isEmpty, trouble };
  }
  const result = await sendFile(deps, delivery, file, pace);
  const isDelivered = result.delivered.length === 1;
  return { isDelivered, isQueueEmpty: isDelivered, trouble: result.trouble };
}

async function attempt(shipment: Shipment, isQueued: boolean): Promise<Attempt> {
  const { deps, lane, cluster, file } = shipment;
  const names = isQueued ? await firstNames(lane) : [file.name.text];
  const ship = async (delivery: Delivery, request: string | undefined): Promise<Attempt> => {
    if (request !== undefined) await noteRequest(deps, lane, request);
    const question = await beginQuestion(deps, lane, delivery, shortQuestionMs);
    const result = await useDelivery(shipment, delivery, isQueued);
    const { concern } = delivery;
    if (result.trouble !== undefined) return { ...result, seenRequest: request, concern };
    const now = await takeStandings(deps, lane, delivery, await question.answer);
    return { ...result, seenRequest: request, concern: now };
  };
  try {
    const use = await withDelivery(deps, lane, cluster, names, ship, shortQuestionMs);
    return use.kind === 'used' ? use.value : failed(use.trouble);
  } finally {
    await writeLedger(deps, lane);
  }
}

function findingOfAttempt(
  { deps, file }: Shipment,
  before: LaneState,
  { trouble, seenRequest, concern, isQueueEmpty: isEmpty }: Attempt,
  waitedMs: number,
): Finding {
  const more = { segment: file.name.text, seenRequest };
  if (trouble !== undefined) return { ...findingOf(deps, before, trouble, waitedMs), ...more };
  if (isEmpty) return { ...wellBut(concern), ...more };
  return { health: 'behind', reason: 'its queue is being sent', ...more };
}

async function tryEnqueue({ deps, lane, copy }: Shipment): Promise<PitrError | undefined> {
  try {
    await queueWithinLimits(deps, lane, copy);
    return undefined;
  } catch (error) {
    if (error instanceof PitrError) return error;
    throw error;
  }
}

/** The lane, as long as it is not abandoned. The caller holds its lock. */
async function shipOnLane(shipment: Shipment, state: LaneState): Promise<LaneOutcome> {
  const { deps, lane } = shipment;
  const resting = isResting(state, deps.now());
  // If the file comes after others, or the standby is in trouble, it is queued first. A full disk is no reason not to
  // send, which makes room.
  const mustQueue = resting || !(await isQueueEmpty(lane.queue));
  const isQueued = mustQueue && (await tryEnqueue(shipment)) === undefined;
  if (resting && isQueued) return { kind: 'queued', trouble: undefined };

  const began = deps.monotonicMs();
  const result = await attempt(shipment, isQueued).catch((error: unknown) => {
    deps.signal.throwIfAborted();
    // One more kind of failure: the WAL can still be queued.
    return failed(troubleOfError(deps.log, error));
  });
  deps.signal.throwIfAborted();
  const error = result.isDelivered || isQueued ? undefined : await tryEnqueue(shipment);
  const finding = findingOfAttempt(shipment, state, result, deps.monotonicMs() - began);
  if (error !== undefined) return unsafe(shipment, state, finding, error);
  await recordFinding(deps, lane, state, finding);
  return result.isDelivered ? { kind: 'delivered' } : { kind: 'queued', trouble: result.trouble };
}

/**
 * The file was neither sent nor queued: PostgreSQL must keep it, unless the INI file prefers to abandon the standby
 * (`queue_full: abandon`), and the standby has had its time.
 */
async function unsafe(
  { deps, lane, file }: Shipment,
  state: LaneState,
  { health, reason: trouble, segment, seenRequest }: Finding,
  error: PitrError,
): Promise<LaneOutcome> {
  const fullness = fullnessOf(deps, state, health === 'behind');
  if (answerFull(deps.settings, lane, error, fullness, deps.monotonicMs()) === 'give-up') {
    await abandonLane(deps, lane, { by: 'policy', names: [file.name.text], why: error.message });
    return { kind: 'abandoned' };
  }
  const sending = trouble === undefined ? '' : `; sending: ${trouble}`;
  const reason = `${reasonOf(error)}${sending}`;
  await recordFinding(deps, lane, state, { health: 'unsafe', reason, segment, seenRequest });
  return { kind: 'failed', reason, error };
}

/** While this server is in recovery, nothing is stored or queued: the standby must have the file already. */
async function compareOnLane({ deps, lane, file, cluster, beginPace }: Shipment): Promise<LaneOutcome> {
  const compare = (delivery: Delivery) => sendFile(deps, delivery, file, beginPace());
  const use = await withDelivery(deps, lane, cluster, [file.name.text], compare, shortQuestionMs);
  const trouble = use.kind === 'trouble' ? use.trouble : use.value.trouble;
  if (trouble === undefined) return { kind: 'delivered' };
  const error = new PitrError(`standby ${lane.name}: ${trouble.reason}`, { hint: trouble.hint });
  return { kind: 'failed', reason: trouble.reason, error };
}

async function shipUnderLock(shipment: Shipment): Promise<LaneOutcome> {
  const { deps, lane, cluster, file } = shipment;
  const state = await readLaneState(lane);
  if (cluster.isInRecovery) {
    return state.abandoned === undefined ? compareOnLane(shipment) : { kind: 'abandoned' };
  }
  const current = await pollAbandoned(deps, lane, cluster, state, [file.name.text]);
  return current === undefined ? { kind: 'abandoned' } : shipOnLane(shipment, current);
}

/** How long to wait for a lock whose holder only writes a few words. */
const shortLockMs = 2_000;

/** Another process is sending on this lane: it will find the file that is queued now, or the next call will. */
async function queueBesideAnother({ deps, lane, copy, cluster }: Shipment): Promise<LaneOutcome> {
  if (cluster.isInRecovery) throw new PitrError(`standby ${lane.name}: another process is sending`);
  await queueWithinLimits(deps, lane, copy);
  return { kind: 'queued', trouble: undefined };
}

async function shipWithLock(shipment: Shipment): Promise<LaneOutcome> {
  const { deps, lane, cluster } = shipment;
  const { abandoned } = await readLaneState(lane);
  // In recovery nothing may be queued instead: we wait for the holder of the lane for a moment.
  const waitMs = abandoned === undefined && !cluster.isInRecovery ? 0 : shortLockMs;
  const use = (): Promise<LaneOutcome> => shipUnderLock(shipment);
  return withLaneLock(deps, lane, waitMs, use, () => {
    if (abandoned !== undefined) throw new PitrError(`standby ${lane.name}: its lane is busy`);
    return queueBesideAnother(shipment);
  });
}

/**
 * Ships one file on one lane. An error there affects no other lane: it resolves, unless the program was ended by a
 * signal.
 */
export async function shipToStandby(shipment: Shipment): Promise<LaneOutcome> {
  try {
    return await shipWithLock(shipment);
  } catch (error) {
    const { signal, log } = shipment.deps;
    signal.throwIfAborted();
    const known = expectedError(log, error);
    return { kind: 'failed', reason: known.message, error: known };
  }
}
