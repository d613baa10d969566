import { messageOf, PitrError } from '../../../../errors.ts';
import { systemClock } from '../../../../system/clock.ts';
import type { SwitchoverRun } from './run.ts';

const limitMs = 15 * 60_000;
const attempts = 5;
const pauseMs = 3_000;

/**
 * Puts the old primary back into service, before anything was promoted. The kept connection may be lost, and the network may come
 * back: it is tried again for a while.
 */
export async function resumePrimary(run: SwitchoverRun, timeline: number): Promise<void> {
  const { server, peer, systemIdentifier } = run;
  const { log } = server.deps;
  // A signal that ends this program must not shorten this.
  const { pause } = systemClock();
  for (let attempt = 1; ; attempt += 1) {
    try {
      await peer.callAnew('resume-primary', { timeline, cluster: systemIdentifier }, limitMs);
      run.primary = 'running';
      log.notice(`the old primary on ${peer.host} is in service again, as the primary`);
      return;
    } catch (error) {
      if (attempt === attempts) throw notResumed(run, timeline, error);
      log.warning(`cannot start the old primary on ${peer.host} again yet: ${messageOf(error)}`);
    }
    await pause(pauseMs);
  }
}

function notResumed({ peer, systemIdentifier }: SwitchoverRun, timeline: number, cause: unknown): PitrError {
  const { program, iniFile } = peer.command;
  const byHand = `${program} -C ${iniFile} --serve 'resume-primary ${timeline} ${systemIdentifier}'`;
  return new PitrError(
    `the old primary on ${peer.host} could not be started again: no server takes writes. Run --switchover again as soon as that host can be reached: it finishes the switchover. To have the old primary back instead, on ${peer.host}: ${byHand}`,
    { detail: messageOf(cause), cause },
  );
}
