/** The other hosts as --status shows them: the primary, the other standbys, and what -F999 would say now. */
import { parseLsn } from '../../postgres/lsn.ts';
import { clockFact } from '../../status/clocks.ts';
import type { Fact } from '../../status/fact.ts';
import type { Clock } from '../../system/clock.ts';
import { quoted } from '../../system/printable.ts';
import type { ClockOffset } from '../../system/remote-clock.ts';
import { furthestOf } from '../archive/offer.ts';
import type { ReadRecords } from '../archive/read-records.ts';
import type { StandbyDeps } from '../deps.ts';
import type { PrimaryLook } from '../primary/liveness/liveness.ts';
import type { Liveness } from '../primary/liveness/verdict.ts';
import { describeWatched, judgeWatched, type Watched } from '../primary/liveness/watched.ts';
import type { Sibling } from '../siblings/ask.ts';
import type { Others, SiblingFacts } from '../siblings/observe.ts';
import { timelineOf } from '../siblings/rivals.ts';
import type { Objection } from '../steps/objections.ts';

/** The judgement of -F999, by its own facts and its own objections. */
export interface FailoverNow {
  readonly objections: readonly Objection[];
  /** Undefined if it is refused before anybody is asked. */
  readonly siblings: SiblingFacts | undefined;
}

/** The looks that a view does once, for itself and for the failover. */
interface SharedLooks {
  readonly primary: () => Promise<Liveness>;
  readonly others: () => Promise<Others>;
  readonly readRecords: ReadRecords;
}

export type AskFailover = (deps: StandbyDeps, looks: SharedLooks) => Promise<FailoverNow>;

export interface PrimaryFacts {
  readonly found: Watched;
  /** Lower case, no full stop. */
  readonly message: string;
  readonly timeline: number | undefined;
  /** The end of its WAL. */
  readonly written: bigint | undefined;
  /** WAL files that a dead one had still to archive. */
  readonly unsent: number | undefined;
}

export function primaryFacts(look: PrimaryLook): PrimaryFacts {
  const found = judgeWatched(look);
  const { timeline, written } = look.identity;
  const isPrimary = found === 'alive';
  return {
    found,
    message: quoted(describeWatched(found, look), 400),
    timeline,
    written: isPrimary && written !== undefined ? parseLsn(written) : undefined,
    unsent: look.liveness.kind === 'dead' ? look.liveness.unsent : undefined,
  };
}

export interface OtherStandby {
  readonly name: string;
  /** `answered`, or why it is not known how far it has come: `silent`, `no-archive`, `foreign`, `mute`. */
  readonly answer: Sibling['answer']['kind'];
  /** Why one did not answer. Lower case, no full stop. */
  readonly reason: string | undefined;
  /** Its server: `recovering`, `production`, `down`, … */
  readonly server: string | undefined;
  readonly timeline: number | undefined;
  /** The end of what it has received or replayed; undefined if it is no standby. */
  readonly furthest: bigint | undefined;
  /** Undefined unless it answered. */
  readonly clock: Fact<ClockOffset> | undefined;
}

function reasonOf({ answer }: Sibling): string | undefined {
  if (answer.kind === 'foreign')
    return `its archive belongs to cluster ${quoted(answer.systemIdentifier, 40)}`;
  return 'reason' in answer ? quoted(answer.reason, 300) : undefined;
}

export function otherStandby(deps: Pick<Clock, 'now'>, sibling: Sibling): OtherStandby {
  const { target, answer } = sibling;
  const said = answer.kind === 'answered' ? answer.said : undefined;
  const furthest = said?.isStandby === true ? furthestOf(said) : undefined;
  return {
    name: target.name,
    answer: answer.kind,
    reason: reasonOf(sibling),
    server: said?.server,
    timeline: said && timelineOf(said),
    furthest: furthest === 0n ? undefined : furthest,
    clock: answer.kind === 'answered' ? clockFact(deps, target.name, answer.clock) : undefined,
  };
}
