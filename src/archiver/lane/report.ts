import { messageOf } from '../../errors.ts';
import { sinceBoot } from '../../system/clock.ts';
import { isNotificationDue, notify, type SaidState, type Severity } from '../../system/notify.ts';
import type { ArchiverDeps } from '../deps.ts';
import { severityOfHealth, writeLaneState, type Health, type LaneState } from './state.ts';
import { listQueue } from '../queue/queue.ts';
import type { Lane } from './lane.ts';

/** The condition of a lane, and the file that showed it. */
export interface Finding {
  readonly health: Health;
  readonly reason?: string | undefined;
  readonly retryAt?: number | undefined;
  /** The name of the file that was to be shipped, if there was one. */
  readonly segment?: string | undefined;
  readonly seenRequest?: string | undefined;
}

const sentences: Readonly<Partial<Record<Health, (standby: string) => string>>> = {
  ok: (standby) => `standby ${standby} takes WAL again, and its queue is empty`,
  behind: (standby) => `standby ${standby} is behind`,
  unsafe: (standby) => `WAL for standby ${standby} could neither be sent nor queued`,
  abandoned: (standby) => `standby ${standby} is abandoned and needs a new base backup`,
};

function sentenceOf(standby: string, { health, reason }: Finding): string {
  const sentence = sentences[health]?.(standby) ?? `WAL for standby ${standby} is queued`;
  return reason === undefined ? sentence : `${sentence}: ${reason}`;
}

async function sendNotification(
  deps: ArchiverDeps,
  { name, queue }: Lane,
  severity: Severity,
  finding: Finding,
): Promise<void> {
  const queued = await listQueue(queue).catch(() => []);
  notify(deps, deps.settings, {
    severity,
    message: sentenceOf(name, finding),
    facts: {
      program: 'cmd_archiver',
      standby: name,
      segment: finding.segment ?? '',
      queue_length: queued.length,
    },
  });
}

function isSame(before: LaneState, after: LaneState): boolean {
  return (
    before.health === after.health &&
    before.reason === after.reason &&
    before.retryAt === after.retryAt &&
    before.sinceMoment === after.sinceMoment &&
    before.seenRequest === after.seenRequest &&
    before.abandoned === after.abandoned
  );
}

function nextState(deps: ArchiverDeps, before: LaneState, finding: Finding, nowMs: number): LaneState {
  const { abandoned, said, freed } = before;
  const isOld = finding.health === before.health;
  const isKnown = isOld && sinceBoot(deps, before.sinceMoment) !== undefined;
  return {
    health: finding.health,
    since: isOld ? before.since : new Date(nowMs).toISOString(),
    sinceMoment: isKnown ? before.sinceMoment : deps.moment(),
    reason: finding.reason,
    retryAt: finding.retryAt,
    seenRequest: finding.seenRequest ?? before.seenRequest,
    ...(said === undefined ? {} : { said }),
    ...(freed === undefined ? {} : { freed }),
    ...(abandoned === undefined || finding.health !== 'abandoned' ? {} : { abandoned }),
  };
}

/**
 * Notes the condition of the lane, and notifies the operator of a change. `before` is the content of the state file.
 * We notify first and write then: if we are killed in between, the next call repeats the notification, rather than
 * losing it.
 *
 * @returns the last notification, for callers that can remember it although the disk cannot
 */
export async function recordFinding(
  deps: ArchiverDeps,
  lane: Lane,
  before: LaneState,
  finding: Finding,
): Promise<SaidState | undefined> {
  const nowMs = deps.now();
  const severity = severityOfHealth(finding.health);
  const isDue = isNotificationDue(before.said, severity, nowMs / 1000, deps.settings.notify_reminder);
  const after = nextState(deps, before, finding, nowMs);
  if (isDue) await sendNotification(deps, lane, severity, finding);
  const said = isDue ? { severity, lastNotified: Math.floor(nowMs / 1000) } : before.said;
  if (!isDue && isSame(before, after)) return said;
  try {
    await writeLaneState(lane, said ? { ...after, said } : after);
  } catch (error) {
    // The outcome of the WAL is known by now: a state that cannot be noted must not turn it into a failure.
    deps.log.warning(`cannot note the state of standby ${lane.name}: ${messageOf(error)}`);
  }
  return said;
}
