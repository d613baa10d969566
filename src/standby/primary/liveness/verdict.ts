import { quoted } from '../../../system/printable.ts';
import type { StoppedFor } from '../../../system/stopped-for.ts';
import type { Objection } from '../../steps/objections.ts';

/** The answer of a TCP port to a PostgreSQL client. */
export type PortAnswer =
  /** The first byte of a protocol reply: a server (or a pooler in front of one) exists. */
  | { readonly kind: 'postgresql' }
  /** The connection was accepted but not answered as a server does: a hung server, a proxy, or another program. */
  | { readonly kind: 'held'; readonly how: string }
  /** The host refused, or no answer came in time. */
  | { readonly kind: 'none'; readonly reason: string; readonly timedOutAt?: string | undefined }
  /** EHOSTUNREACH: a switched-off host gives it, and so does a fault of this host's own. */
  | { readonly kind: 'no-route'; readonly reason: string; readonly address: string }
  /** The question never left this host. */
  | Unasked;

export interface Unasked {
  readonly kind: 'unasked';
  readonly reason: string;
  /** A sentence that says what the operator is to check. */
  readonly check: string;
}

export interface Alive {
  readonly kind: 'alive';
  readonly by: string;
  /** False for a stopped postmaster, and if something only holds the port. */
  readonly answers: boolean;
}

/** The finding of a look at the primary's host. */
export type RemoteFinding =
  | Alive
  | {
      readonly kind: 'dead';
      /** The number of WAL files that still wait there to be archived, if it is known. */
      readonly unsent: number | undefined;
      /** The primary's data directory exists without a server of it; otherwise only its address there refused psql. */
      readonly hasLooked: boolean;
      /** A switchover has stopped it, which is not finished. */
      readonly stoppedFor?: StoppedFor | undefined;
      /** Remarks on this look, for the operator. */
      readonly notes: readonly string[];
    }
  /** It answered but proved neither. */
  | { readonly kind: 'unclear'; readonly reason: string };

export type RemoteAnswer =
  RemoteFinding | { readonly kind: 'unreachable'; readonly reason: string } | Unasked;

/** Whether the primary is alive, as far as can be determined within `failover_probe_timeout`. */
export type Liveness =
  | Alive
  /** Its host answers, and no server runs there. */
  | {
      readonly kind: 'dead';
      readonly unsent: number | undefined;
      readonly warnings: readonly string[];
      /** Its data directory was seen. */
      readonly hasLooked?: boolean;
      /** A switchover has stopped it, which is not finished. */
      readonly stoppedFor?: StoppedFor | undefined;
    }
  /** It does not answer. This does not prove that it is down: it may live beyond a broken network. */
  | { readonly kind: 'unreachable'; readonly reason: string }
  /** The question was not asked because of a fault of this host's own. */
  | Unasked;

/** The most meaningful answer from several addresses of one name. */
export function strongestAnswer(answers: readonly PortAnswer[]): PortAnswer | undefined {
  const order: readonly PortAnswer['kind'][] = ['postgresql', 'held', 'none', 'no-route', 'unasked'];
  return [...answers].sort((one, other) => order.indexOf(one.kind) - order.indexOf(other.kind))[0];
}

/** The reason why this question has shown nothing. */
function reasonOf(answer: PortAnswer | RemoteAnswer): string {
  return 'reason' in answer ? answer.reason : '';
}

/**
 * Combines the two answers. One that proves life is enough; dead requires proof of death; if neither question left
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
    const { unsent, hasLooked, stoppedFor } = remote;
    return { kind: 'dead', unsent, warnings, hasLooked, stoppedFor };
  }
  if (held !== undefined) return { kind: 'alive', by: `${held}: a hung server or a proxy`, answers: false };
  if (port.kind === 'unasked') return port;
  if (remote.kind === 'unasked')
    return { ...remote, reason: `${place}: ${reasonOf(port)}; ssh: ${remote.reason}` };
  return { kind: 'unreachable', reason: `${place}: ${reasonOf(port)}; ssh: ${reasonOf(remote)}` };
}

/** Completes "it was stopped …". Its host has said it. */
export function describeStop({ host, since }: StoppedFor): string {
  const when = since === undefined ? '' : ` at ${quoted(since, 40)}`;
  return `for a switchover to ${quoted(host, 80)}${when}, which is not finished`;
}

export function describeLiveness(liveness: Liveness): string {
  switch (liveness.kind) {
    case 'alive':
      return `the primary ${liveness.answers ? 'is' : 'counts as'} alive: ${liveness.by}`;
    case 'dead': {
      const { stoppedFor } = liveness;
      const why = stoppedFor === undefined ? '' : `; it was stopped ${describeStop(stoppedFor)}`;
      return `the primary is dead: its host answers, and no server runs there${why}`;
    }
    case 'unreachable':
      return `the primary cannot be reached (${liveness.reason})`;
    case 'unasked':
      return `the primary could not be asked (${liveness.reason})`;
  }
}

const twoServers = 'two servers take writes then, and what the old one takes is lost';

/** The reason why a failover must not begin, unless the operator overrules it. */
export function livenessObjections(liveness: Liveness): readonly Objection[] {
  const message = describeLiveness(liveness);
  if (liveness.kind === 'alive') {
    const hint = liveness.answers ? 'Stop the primary first.' : 'Power the host off or stop it first.';
    return [{ name: 'primary-alive', message, hint, cost: twoServers }];
  }
  if (liveness.kind !== 'unasked') return [];
  const hint = `${liveness.check} Make sure that the primary is down.`;
  return [{ name: 'primary-unasked', message, hint, cost: `if it is alive, ${twoServers}` }];
}
