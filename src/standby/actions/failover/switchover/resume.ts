import { messageOf, PitrError } from '../../../../errors.ts';
import { systemClock } from '../../../../system/clock.ts';
import { quoted } from '../../../../system/printable.ts';
import type { Peer } from '../../../peers/peer.ts';
import type { SwitchoverRun } from './run.ts';

const limitMs = 15 * 60_000;
const attempts = 5;
const pauseMs = 3_000;

/**
 * Puts the old primary back into service, before anything was promoted. The kept connection may be lost, and the network may come
 * back: it is tried again for a while.
 */
export async function resumePrimary(run: SwitchoverRun, timeline: number): Promise<void> {
  const { server, peer, systemIdentifier, token } = run;
  const { log } = server.deps;
  // A signal that ends this program must not shorten this.
  const { pause } = systemClock();
  for (let attempt = 1; ; attempt += 1) {
    try {
      const args = { timeline, cluster: systemIdentifier, token };
      const { heldBy } = await peer.callAnew('resume-primary', args, limitMs);
      if (heldBy === run.publicName) {
        sayHeld(run, timeline);
        return;
      }
      if (heldBy !== undefined) {
        run.primary = 'not-ours';
        log.warning(
          `the old primary on ${peer.host} was not started again: another run has stopped it, for a switchover to ${quoted(heldBy)}`,
        );
        return;
      }
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

/** The stop of an earlier run was not finished when this one asked for its own. */
function sayHeld(run: SwitchoverRun, timeline: number): void {
  const { server, peer, systemIdentifier, begun } = run;
  run.primary = 'held';
  const token = begun?.token;
  const byHand = token === undefined ? '' : ` ${resumeByHand(peer, systemIdentifier, { timeline, token })}`;
  server.deps.log.error(
    `an earlier run of this host has stopped the old primary on ${peer.host}: no server takes writes`,
    { hint: `Run --switchover again: it finishes the switchover.${byHand}` },
  );
}

/** A server that opened beside the new primary would be a second one. */
export function sayRoleTaken({ server, peer }: SwitchoverRun): void {
  server.deps.log.warning(
    `the old primary on ${peer.host} was not started again: another server has taken its role, or is about to`,
    { hint: `Make it a standby of that server: --rejoin on ${peer.host}` },
  );
}

/** @param token that of the run which has stopped the old primary */
export function resumeByHand(
  { host, command: { program, iniFile } }: Pick<Peer, 'host' | 'command'>,
  cluster: string,
  { timeline, token }: { readonly timeline: number; readonly token: string },
): string {
  return `To have the old primary back instead, on ${host}: ${program} -C ${iniFile} --serve 'resume-primary ${timeline} ${cluster} ${token}'`;
}

function notResumed(
  { peer, systemIdentifier, token }: SwitchoverRun,
  timeline: number,
  cause: unknown,
): PitrError {
  const byHand = resumeByHand(peer, systemIdentifier, { timeline, token });
  return new PitrError(
    `the old primary on ${peer.host} could not be started again: no server takes writes. Run --switchover again as soon as that host can be reached: it finishes the switchover. ${byHand}`,
    { detail: messageOf(cause), cause },
  );
}
