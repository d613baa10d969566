import { messageOf } from '../errors.ts';
import { sshTarget } from '../system/ssh-target.ts';
import type { StandbyDeps } from './deps.ts';
import { probePort, type PortAnswer, type ProbePort } from './liveness/port-probe.ts';
import { probeRemote, type RemoteAnswer } from './liveness/remote-probe.ts';

/** Whether the primary is alive, as far as can be told within `failover_probe_timeout`. */
export type Liveness =
  | { readonly kind: 'alive'; readonly by: string }
  /** Its host answers, and no server is there. */
  | { readonly kind: 'dead'; readonly unsent: number | undefined }
  /** Nobody answers at all: it was not seen dead, and may live beyond a broken network. */
  | { readonly kind: 'unreachable'; readonly reason: string };

/** Puts the two answers together; one that says alive is enough. */
export function judgeLiveness(place: string, port: PortAnswer, remote: RemoteAnswer): Liveness {
  if (port.kind === 'postgresql') return { kind: 'alive', by: `PostgreSQL answers at ${place}` };
  if (remote.kind === 'alive' || remote.kind === 'dead') return remote;
  return { kind: 'unreachable', reason: `${place}: ${port.reason}; ssh: ${remote.reason}` };
}

/**
 * Asks both ways at once, under one limit: the port as a client would, and the primary's host over ssh, which also sees a
 * server that listens on localhost only.
 */
export async function probePrimary(
  deps: StandbyDeps,
  primaryPgdata: string | undefined,
  probe: ProbePort = probePort,
): Promise<Liveness> {
  const { settings } = deps;
  const limitMs = settings.failover_probe_timeout * 1000;
  const address = `${settings.master_public_ip}:${settings.port}`;
  const enough = new AbortController();
  const question = {
    primaryPgdata,
    psql: settings.r_psql,
    host: settings.master_local_ip,
    port: settings.port,
    user: settings.user,
    limitS: settings.failover_probe_timeout,
  };
  const port = probe(settings.master_public_ip, settings.port, limitMs, enough.signal);
  const place = { ...settings, host: settings.master_public_ip, what: 'the primary' };
  const remote = sshTarget(place, settings)
    .then((target) => probeRemote(deps, target, question, limitMs, enough.signal))
    .catch((error: unknown): RemoteAnswer => ({ kind: 'unreachable', reason: messageOf(error) }));
  // Who says alive first saves the wait for the other.
  void port.then(({ kind }) => {
    if (kind === 'postgresql') enough.abort();
  });
  void remote.then(({ kind }) => {
    if (kind === 'alive') enough.abort();
  });
  const liveness = judgeLiveness(address, await port, await remote);
  deps.log.debug(`primary: ${JSON.stringify(liveness)}`);
  return liveness;
}

export function describeLiveness(liveness: Liveness): string {
  switch (liveness.kind) {
    case 'alive':
      return `the primary is alive: ${liveness.by}`;
    case 'dead':
      return 'the primary is dead: its host answers, and no server runs there';
    case 'unreachable':
      return `the primary cannot be reached (${liveness.reason})`;
  }
}
