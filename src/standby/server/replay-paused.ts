import type { Server } from './server.ts';
import { rowsOf, type ServerState } from './server-state.ts';

/** Whether a standby has paused its replay. If it does not answer, that is unknown and counts as no. */
export async function isReplayPaused(server: Server, state: ServerState): Promise<boolean> {
  const { isReplayPausedFunction: paused } = server.capabilities;
  if (state.kind !== 'recovering' || !state.answers || paused === undefined) return false;
  const rows = await rowsOf(server, `SELECT ${paused}() AS paused`);
  return rows?.[0]?.['paused'] === true;
}
