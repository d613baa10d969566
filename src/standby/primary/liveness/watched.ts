import { exitCodes } from '../../../errors.ts';
import type { ServerIdentity } from './identity.ts';
import type { PrimaryLook } from './liveness.ts';
import { describeLiveness } from './verdict.ts';

/** The verdicts of -P, with an exit status for each. */
export const watchedExitCodes = {
  alive: 0,
  dead: exitCodes.primaryDead,
  unreachable: exitCodes.primaryUnreachable,
  unasked: exitCodes.primaryUnasked,
  /** Something only holds its port. */
  silent: exitCodes.primarySilent,
  'in-recovery': exitCodes.primaryInRecovery,
  'other-cluster': exitCodes.primaryOfOtherCluster,
} as const;

export type Watched = keyof typeof watchedExitCodes;

export function judgeWatched({ liveness, identity, known }: PrimaryLook): Watched {
  const { inRecovery, systemIdentifier } = identity;
  if (liveness.kind !== 'alive') return liveness.kind;
  if (!liveness.answers) return 'silent';
  const { systemIdentifier: expected } = known;
  if (expected !== undefined && systemIdentifier !== undefined && systemIdentifier !== expected)
    return 'other-cluster';
  return inRecovery === true ? 'in-recovery' : 'alive';
}

/** Whether a standby can stream from it: from another standby as well. */
export function sendsWal(watched: Watched): boolean {
  return watched === 'alive' || watched === 'in-recovery';
}

/** Names what could not be learned of a server. */
function unknownWords({ inRecovery, systemIdentifier }: ServerIdentity): string {
  const unknown = [
    ...(inRecovery === undefined ? ['whether it is in recovery'] : []),
    ...(systemIdentifier === undefined ? ['which cluster it is'] : []),
  ];
  return unknown.length === 0 ? '' : `; not determined: ${unknown.join(', ')}`;
}

function timelineWords({ timeline }: ServerIdentity): string {
  return timeline === undefined ? '' : ` (timeline ${timeline})`;
}

export function describeWatched(watched: Watched, { liveness, identity, known }: PrimaryLook): string {
  if (liveness.kind !== 'alive' || watched === 'silent') return describeLiveness(liveness);
  const timeline = timelineWords(identity);
  if (watched === 'other-cluster')
    return `another cluster is in the primary's place: system identifier ${identity.systemIdentifier ?? ''}, not ${known.systemIdentifier ?? ''}${timeline}: ${liveness.by}`;
  if (watched === 'in-recovery')
    return `a server in recovery is in the primary's place: it is a standby, or still recovers${timeline}: ${liveness.by}`;
  return `${describeLiveness(liveness)}${timeline}${unknownWords(identity)}`;
}
