/** The note of a primary that it was stopped for a switchover: only the run that has stopped it may have it back. Pure. */
import { refusal } from '../../errors.ts';
import { quoted } from '../../system/printable.ts';
import type { StoppedFor } from '../../system/stopped-for.ts';
import type { AnswerOf } from '../../verbs/verbs.ts';
import type { ServerState } from '../server/server-state.ts';

export function serves(state: ServerState): boolean {
  return state.kind === 'production' && state.answers;
}

/** Two standbys that both see this primary stopped would both be promoted. The same host may begin anew. */
export function requireNoOther(
  stoppedFor: Pick<StoppedFor, 'host'> | undefined,
  host: string,
  state: ServerState,
): void {
  // One that serves was started since: nobody waits for it.
  if (stoppedFor === undefined || stoppedFor.host === host || serves(state)) return;
  throw refusal(
    `the server on this host was stopped for a switchover to ${quoted(stoppedFor.host)}, not to ${host}`,
    { hint: 'Run --switchover on that host: it finishes what it began.' },
  );
}

/**
 * A primary that ended by itself may have been replaced by a failover: a switchover that took it over, and was taken back later,
 * would start it beside the new one.
 */
export function requireOurs(stoppedFor: Pick<StoppedFor, 'host'> | undefined, state: ServerState): void {
  if (stoppedFor !== undefined || state.kind !== 'stopped') return;
  throw refusal('the server on this host does not run, and was not stopped for a switchover', {
    hint: 'Start it there first. If that is not possible, -F999 on the standby makes that the primary.',
  });
}

/** A stop returns the same end of the WAL however often it is asked: what was noted is kept for the same host and timeline. */
export function noteFor(
  before: StoppedFor | undefined,
  now: { readonly host: string; readonly timeline: number; readonly token: string; readonly since: string },
): StoppedFor {
  const isSame = before?.host === now.host && before.timeline === now.timeline;
  return isSame ? { ...before, ...now, since: before.since ?? now.since } : now;
}

export type Resumption =
  /** `host`: for which it was stopped. */
  | { readonly kind: 'resume'; readonly host: string }
  /** It serves, and nobody has stopped it. */
  | { readonly kind: 'nothing' }
  /** Another run has stopped it since, and may be about to promote a standby. */
  | { readonly kind: 'held'; readonly by: string };

/** A request that comes late, or after another run's stop, must not open the server beside the one that is promoted. */
export function resumptionOf(
  stoppedFor: Pick<StoppedFor, 'host' | 'token'> | undefined,
  token: string,
  state: ServerState,
): Resumption {
  if (stoppedFor !== undefined)
    return stoppedFor.token === token
      ? { kind: 'resume', host: stoppedFor.host }
      : { kind: 'held', by: stoppedFor.host };
  if (serves(state)) return { kind: 'nothing' };
  throw refusal('the server on this host was not stopped for a switchover: it is not started', {
    hint: 'If it is to be the primary, start it there by hand.',
  });
}

/** @param said the answer of the host for which this server was stopped */
export function requireNotTaken(
  { server, promotedTo, promotion }: Pick<AnswerOf<'status'>, 'server' | 'promotedTo' | 'promotion'>,
  host: string,
  timeline: number,
): void {
  const wasPromoted = server === 'production' || (promotedTo !== undefined && promotedTo > timeline);
  if (!wasPromoted && promotion === undefined) return;
  throw refusal(
    `${host} ${wasPromoted ? 'was promoted' : 'may be promoted at any moment'}: the server on this host is not opened beside it`,
    {
      hint: wasPromoted
        ? `Make this host a standby of that server: cmd_standby -C FILE --rejoin ${host}`
        : `Run --switchover again on ${host}, or stop its server first: cmd_standby -C FILE -A stop`,
    },
  );
}
