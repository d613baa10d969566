import { messageOf } from '../../errors.ts';
import type { ArchiverDeps } from '../deps.ts';
import { readLaneState, writeLaneState } from './state.ts';
import { layoutOf } from '../layout.ts';

/**
 * Notes a resume request of a standby that is not abandoned: a base backup that was killed leaves one behind, which must not
 * end an abandonment that comes later. The lane's lock is held.
 */
export async function noteRequest(deps: ArchiverDeps, standby: string, request: string): Promise<void> {
  const layout = layoutOf(deps.settings.l_archivedir);
  const state = await readLaneState(layout, standby);
  if (state.abandoned !== undefined || state.seenRequest === request) return;
  try {
    await writeLaneState(layout, standby, { ...state, seenRequest: request });
  } catch (error) {
    // It hinders no delivery.
    deps.log.warning(`cannot note the resume request of standby ${standby}: ${messageOf(error)}`);
  }
}
