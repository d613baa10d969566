import type { Server } from './server.ts';
import { withLocalServer, type ServerState } from './server-state.ts';

/** Whether a standby has paused its replay; one that does not answer is not known to have done so. */
export async function isReplayPaused(server: Server, state: ServerState): Promise<boolean> {
  const { isReplayPausedFunction: paused } = server.capabilities;
  if (state.kind !== 'recovering' || !state.answers || paused === undefined) return false;
  const answer = await withLocalServer(server, (sql) => sql(`SELECT ${paused}() AS paused`));
  return answer.kind === 'answered' && answer.value[0]?.['paused'] === true;
}
