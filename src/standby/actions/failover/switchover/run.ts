import type { Shutdown } from '../../../../verbs/verbs.ts';
import type { SwitchoverRecord } from '../../../host/backup-record/record.ts';
import type { Peer } from '../../../peers/peer.ts';
import { isStopped } from '../../../siblings/ask.ts';
import type { SiblingFacts } from '../../../siblings/observe.ts';
import { entriesFor } from '../../../steps/step-table.ts';
import { type FailoverRun, newRun } from '../run.ts';
import type { PrimaryFacts, SwitchoverFacts } from './facts.ts';
import { isStoppedForUs, mayBePromoted } from './objections.ts';
import type { Remark } from './remarks.ts';
import type { Turned } from './turn.ts';

/** When the moments of the write outage were, on the clock of `monotonicMs`. */
export interface Moments {
  stopping?: number;
  stopped?: number;
  replayed?: number;
  open?: number;
}

export interface SwitchoverRun extends FailoverRun {
  readonly peer: Peer;
  readonly systemIdentifier: string;
  /** Random: names this run to the old primary's host. */
  readonly token: string;
  /** Undefined once this host was promoted. */
  readonly facts: PrimaryFacts | undefined;
  /** The name by which the other hosts reach this one. */
  readonly publicName: string;
  /** The other standbys that were stopped before the switchover: nobody has asked for their start. */
  readonly stoppedBefore: readonly string[];
  /** The record of an earlier run of this host. */
  readonly begun: SwitchoverRecord | undefined;
  /**
   * 'unknown' or 'stopped': it is to be started again if the switchover fails; 'not-ours': it is stopped for another host; 'held':
   * for an earlier run of this one.
   */
  primary: 'running' | 'unknown' | 'stopped' | 'not-ours' | 'held';
  /** Another server has taken the role, or is about to: the old primary must not be started again. */
  isRoleTaken?: boolean;
  /** The location that this standby must have replayed before the primary is stopped. */
  drainTo?: bigint;
  shutdown?: Shutdown;
  /** This standby was seen to have replayed the end of that shutdown's record. */
  hasReplayedEnd?: boolean;
  /** The last restartpoint before the promotion. */
  restartpointLsn?: bigint | undefined;
  readonly moments: Moments;
  readonly turned: Turned[];
  /** The tasks that are left on the old primary's host. */
  readonly remaining: Remark[];
}

function stoppedOf({ siblings }: Pick<SiblingFacts, 'siblings'>): readonly string[] {
  return siblings.filter(isStopped).map(({ target }) => target.name);
}

export function newSwitchoverRun(
  deps: SwitchoverRun['server']['deps'],
  facts: SwitchoverFacts,
  publicName: string,
): SwitchoverRun {
  const { failover, peer, systemIdentifier, before, begun } = facts;
  return {
    ...newRun(deps, failover),
    opening: mayBePromoted(facts) ? 'begun' : 'not begun',
    peer,
    systemIdentifier,
    token: deps.nonce(),
    begun,
    facts: before?.primary,
    publicName,
    // Once this host was promoted, an earlier run may have stopped one itself, to start it again.
    stoppedBefore: before === undefined ? (begun?.stopped ?? []) : stoppedOf(failover.siblings),
    primary: before !== undefined && isStoppedForUs(before) ? 'unknown' : 'running',
    moments: {},
    turned: [],
    remaining: [],
  };
}

export const step = entriesFor<SwitchoverRun>();
