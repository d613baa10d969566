import { messageOf } from '../../errors.ts';
import type { ArchiverDeps } from '../deps.ts';
import { readLaneState, writeLaneState } from './state.ts';
import type { Lane } from './lane.ts';

/**
 * Notes a resume request of a standby that is not abandoned. A killed base backup leaves one behind, which must not
 * end a later abandonment. The caller holds the lane's lock.
 */
export async function noteRequest(deps: ArchiverDeps, lane: Lane, request: string): Promise<void> {
  const state = await readLaneState(lane);
  if (state.abandoned !== undefined || state.seenRequest === request) return;
  try {
    await writeLaneState(lane, { ...state, seenRequest: request });
  } catch (error) {
    // It prevents no delivery.
    deps.log.warning(`cannot note the resume request of standby ${lane.name}: ${messageOf(error)}`);
  }
}
