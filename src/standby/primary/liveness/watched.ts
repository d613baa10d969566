import { type ExitCode, exitCodes } from '../../../errors.ts';
import type { ServerIdentity } from './identity.ts';
import { describeLiveness, type Liveness } from './verdict.ts';

/** The verdicts of -P, with an exit status for each. */
export type Watched =
  | 'alive'
  | 'dead'
  | 'unreachable'
  | 'unasked'
  /** Something only holds its port. */
  | 'silent'
  | 'in-recovery'
  | 'other-cluster';

export const watchedExitCodes: Readonly<Record<Watched, ExitCode | 0>> = {
  alive: 0,
  dead: exitCodes.primaryDead,
  unreachable: exitCodes.primaryUnreachable,
  unasked: exitCodes.primaryUnasked,
  silent: exitCodes.primarySilent,
  'in-recovery': exitCodes.primaryInRecovery,
  'other-cluster': exitCodes.primaryOfOtherCluster,
};

/** @param expected system identifier of our cluster, if it is known */
export function judgeWatched(
  liveness: Liveness,
  { inRecovery, systemIdentifier }: ServerIdentity,
  expected: string | undefined,
): Watched {
  if (liveness.kind !== 'alive') return liveness.kind;
  if (!liveness.answers) return 'silent';
  if (expected !== undefined && systemIdentifier !== undefined && systemIdentifier !== expected)
    return 'other-cluster';
  return inRecovery === true ? 'in-recovery' : 'alive';
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

export function describeWatched(
  watched: Watched,
  liveness: Liveness,
  identity: ServerIdentity,
  expected: string | undefined,
): string {
  if (liveness.kind !== 'alive' || watched === 'silent') return describeLiveness(liveness);
  const timeline = timelineWords(identity);
  if (watched === 'other-cluster') {
    const { systemIdentifier } = identity;
    return `another cluster is in the primary's place: system identifier ${systemIdentifier ?? ''}, not ${expected ?? ''}${timeline}: ${liveness.by}`;
  }
  if (watched === 'in-recovery')
    return `a server in recovery is in the primary's place: it is a standby, or still recovers${timeline}: ${liveness.by}`;
  return `${describeLiveness(liveness)}${timeline}${unknownWords(identity)}`;
}
