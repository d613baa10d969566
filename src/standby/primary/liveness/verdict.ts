/** The answer of a TCP port to a PostgreSQL client. */
export type PortAnswer =
  /** The first byte of a protocol reply: a server (or a pooler in front of one) is there. */
  | { readonly kind: 'postgresql' }
  /** The connection was accepted and not answered as a server does: a hung server, a proxy, or another program. */
  | { readonly kind: 'held'; readonly how: string }
  /** The host refused, or nothing came back in time. */
  | { readonly kind: 'none'; readonly reason: string; readonly timedOutAt?: string | undefined }
  /** EHOSTUNREACH: so a host looks that is switched off, and so does one behind a fault of this host's own. */
  | { readonly kind: 'no-route'; readonly reason: string; readonly address: string }
  /** The question never left this host. */
  | Unasked;

export interface Unasked {
  readonly kind: 'unasked';
  readonly reason: string;
  /** A sentence that says what the operator is to check. */
  readonly check: string;
}

/** The finding of a look at the primary's host. */
export type RemoteFinding =
  /** `answers` is false for a postmaster that is stopped. */
  | { readonly kind: 'alive'; readonly by: string; readonly answers: boolean }
  | {
      readonly kind: 'dead';
      /** The number of WAL files that still wait there to be archived, where it is known. */
      readonly unsent: number | undefined;
      /** The primary's data directory was there, and no server of it; otherwise only its address there refused psql. */
      readonly hasLooked: boolean;
      /** Remarks on this look, for the operator. */
      readonly notes: readonly string[];
    }
  /** It answered and proved neither. */
  | { readonly kind: 'unclear'; readonly reason: string };

export type RemoteAnswer =
  RemoteFinding | { readonly kind: 'unreachable'; readonly reason: string } | Unasked;

/** Whether the primary is alive, as far as can be determined within `failover_probe_timeout`. */
export type Liveness =
  /** `answers` is false for a stopped postmaster, and where something only holds the port. */
  | { readonly kind: 'alive'; readonly by: string; readonly answers: boolean }
  /** Its host answers, and no server is there. */
  | { readonly kind: 'dead'; readonly unsent: number | undefined; readonly warnings: readonly string[] }
  /** It does not answer: it was not seen dead, and may live beyond a broken network. */
  | { readonly kind: 'unreachable'; readonly reason: string }
  /** Nobody was asked: a fault of this host's own. */
  | Unasked;

/** The answer that says most of several addresses of one name. */
export function strongestAnswer(answers: readonly PortAnswer[]): PortAnswer | undefined {
  const order: readonly PortAnswer['kind'][] = ['postgresql', 'held', 'none', 'no-route', 'unasked'];
  return [...answers].sort((one, other) => order.indexOf(one.kind) - order.indexOf(other.kind))[0];
}

/** Why nothing was learned by this question. */
function reasonOf(answer: PortAnswer | RemoteAnswer): string {
  return 'reason' in answer ? answer.reason : '';
}

/**
 * Puts the two answers together. One that says alive is enough; dead is what was seen dead; and where neither question left
 * this host, nothing is known.
 */
export function judgeLiveness(place: string, port: PortAnswer, remote: RemoteAnswer): Liveness {
  if (port.kind === 'postgresql')
    return { kind: 'alive', by: `PostgreSQL answers at ${place}`, answers: true };
  if (remote.kind === 'alive') return remote;
  const held = port.kind === 'held' ? `something accepts connections at ${place} and ${port.how}` : undefined;
  if (remote.kind === 'dead' && (held === undefined || remote.hasLooked)) {
    const warnings =
      held === undefined ? remote.notes : [`${held}, though no server runs there`, ...remote.notes];
    return { kind: 'dead', unsent: remote.unsent, warnings };
  }
  if (held !== undefined) return { kind: 'alive', by: `${held}: a hung server or a proxy`, answers: false };
  if (port.kind === 'unasked') return port;
  if (remote.kind === 'unasked')
    return { ...remote, reason: `${place}: ${reasonOf(port)}; ssh: ${remote.reason}` };
  return { kind: 'unreachable', reason: `${place}: ${reasonOf(port)}; ssh: ${reasonOf(remote)}` };
}

export function describeLiveness(liveness: Liveness): string {
  switch (liveness.kind) {
    case 'alive':
      return `the primary ${liveness.answers ? 'is' : 'counts as'} alive: ${liveness.by}`;
    case 'dead':
      return 'the primary is dead: its host answers, and no server runs there';
    case 'unreachable':
      return `the primary cannot be reached (${liveness.reason})`;
    case 'unasked':
      return `the primary could not be asked (${liveness.reason})`;
  }
}

/** Why a failover must not begin, until the operator overrules it; undefined where nothing stands against it. */
export interface LivenessObjection {
  readonly name: 'primary-alive' | 'primary-unasked';
  readonly message: string;
  readonly hint: string;
  readonly cost: string;
}

const twoServers = 'two servers take writes then, and what the old one takes is lost';

export function livenessObjection(liveness: Liveness): LivenessObjection | undefined {
  const message = describeLiveness(liveness);
  if (liveness.kind === 'alive') {
    const hint = liveness.answers ? 'Stop the primary first.' : 'Power the host off or stop it first.';
    return { name: 'primary-alive', message, hint, cost: twoServers };
  }
  if (liveness.kind !== 'unasked') return undefined;
  return {
    name: 'primary-unasked',
    message,
    hint: `${liveness.check} Make sure that the primary is down.`,
    cost: `if it is alive, ${twoServers}`,
  };
}
