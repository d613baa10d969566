/** Pausing the replay of a standby, and resuming it. */
import { PitrError } from '../../errors.ts';
import type { Server } from '../server/server.ts';
import { mustAnswer } from '../server/server-state.ts';
import { waitUntil } from '../server/wait.ts';
import { askReplayed } from './replayed.ts';

/** The record that is being replayed when the pause is requested. */
const lastRecordS = 10;

/**
 * Requests a pause, and waits until nothing is replayed any more. A standby that waits at a commit because of its delay
 * does not report that it is paused; it looks for the request before it replays that commit.
 */
export async function pauseReplay(server: Server): Promise<void> {
  const { deps, capabilities } = server;
  const { replayPauseFunction: pause } = capabilities;
  if (pause === undefined) return;
  await mustAnswer(server, 'cannot pause the replay', (sql) => sql(`SELECT ${pause}()`));
  let before: bigint | undefined;
  const seen = await waitUntil(deps, lastRecordS, async () => {
    const { lsn } = await askReplayed(server);
    if (lsn !== undefined && lsn === before) return { kind: 'done', value: undefined };
    before = lsn;
    return { kind: 'waiting', progress: '' };
  });
  if (seen.kind !== 'done') throw new PitrError(`the replay does not pause: ${seen.reason}`);
}

export async function resumeReplay(server: Server): Promise<void> {
  const { replayResumeFunction: resume } = server.capabilities;
  if (resume === undefined) return;
  await mustAnswer(server, 'cannot resume the replay', (sql) => sql(`SELECT ${resume}()`));
}
