import { exitCodes, messageOf, unreachable } from '../../../errors.ts';
import { type LeftTimeline, parseLeft } from '../../../postgres/left-timeline.ts';
import { notify, partWithHooks } from '../../../system/notify.ts';
import { readSentinel } from '../../../system/sentinel.ts';
import type { ArchiverDeps } from '../../deps.ts';
import { askLeft, type LeftAnswer } from '../../lane/ask-left.ts';
import { type Lane, lanesOf } from '../../lane/lane.ts';
import { restoredFor } from '../../lane/left-state.ts';
import { readLaneState } from '../../lane/state.ts';
import { findOwnArchive } from '../../wal/own-archive.ts';
import { type Asked, hasSaid, judgeStart, type StartVerdict } from './judge.ts';
import { forgetRefusal, isRefusalNew, noteRefusal } from './notified.ts';
import { observeCondition, type OwnCluster } from './own-cluster.ts';

/** The files of a lane only add to the answers: one that cannot be read is left out. */
async function fromFile<T>({ log }: ArchiverDeps, read: () => Promise<T>, orElse: T): Promise<T> {
  try {
    return await read();
  } catch (error) {
    log.warning(messageOf(error));
    return orElse;
  }
}

/** A standby that refused WAL of this server knew that its timeline was left. */
async function refusalOf(lane: Lane): Promise<LeftTimeline | undefined> {
  const { health, refusedFor } = await readLaneState(lane);
  return health === 'left' ? parseLeft(refusedFor ?? '') : undefined;
}

const retryMs = 1_000;

/**
 * Asks all at once, within one limit. When a host boots, its network may come late: as long as nobody has answered, a
 * silent one is asked again.
 */
async function askAll(
  deps: ArchiverDeps,
  { systemIdentifier, timeline }: OwnCluster,
): Promise<readonly Asked[]> {
  const endMs = deps.monotonicMs() + deps.settings.start_probe_timeout * 1000;
  let isAnswered = false;
  const ask = async (lane: Lane): Promise<LeftAnswer> => {
    for (;;) {
      const answer = await askLeft(deps, lane, systemIdentifier, endMs);
      isAnswered ||= hasSaid(answer, timeline);
      if (answer.kind !== 'silent' || isAnswered || endMs - deps.monotonicMs() < 2 * retryMs) return answer;
      await deps.pause(retryMs);
    }
  };
  return Promise.all(
    lanesOf(deps).map(async (lane) => ({
      name: lane.name,
      answer: await ask(lane),
      restored: await fromFile(deps, () => restoredFor(lane), []),
      refusedBy: await fromFile(deps, () => refusalOf(lane), undefined),
    })),
  );
}

async function ownMarks(
  deps: ArchiverDeps,
  { systemIdentifier }: OwnCluster,
): Promise<readonly LeftTimeline[]> {
  const cluster = { systemIdentifier, timeline: undefined, isInRecovery: false };
  return fromFile(deps, async () => {
    const archive = await findOwnArchive(deps, cluster);
    return archive === undefined ? [] : ((await readSentinel(archive))?.left ?? []);
  }, []);
}

async function judge(deps: ArchiverDeps): Promise<StartVerdict & { readonly timeline?: number }> {
  const condition = await observeCondition(deps.settings.pgdata);
  switch (condition.kind) {
    case 'harmless':
      return { kind: 'allowed', reason: condition.reason, warnings: [] };
    case 'unstarted-copy':
      return {
        kind: 'refused',
        message: `PostgreSQL must not start here: "${deps.settings.pgdata}" is a base backup that was not made a standby, and would open as a second primary`,
        hint: 'Start it as a standby: cmd_standby -C FILE -S. To open it as a server of its own: cmd_standby -C FILE -F999.',
      };
    case 'primary': {
      const { cluster } = condition;
      const [asked, own] = await Promise.all([askAll(deps, cluster), ownMarks(deps, cluster)]);
      return { ...judgeStart({ cluster, asked, own }), timeline: cluster.timeline };
    }
  }
}

/** systemd ends what a service's preparation leaves behind: the command must have run to its end. */
const hookGraceMs = 12_000;

async function notifyCritical(
  deps: ArchiverDeps,
  message: string,
  timeline: number | undefined,
): Promise<void> {
  const { settings } = deps;
  const standby = settings.standbys.map(({ name }) => name).join(' ');
  const facts = {
    program: 'cmd_archiver',
    standby,
    ...(timeline === undefined ? {} : { timeline }),
  } as const;
  notify(deps, settings, { severity: 'critical', name: 'start', message, facts });
  await partWithHooks(hookGraceMs);
}

/** The log of a service that does not start is perhaps read late. Its supervisor may ask again and again. */
async function refuse(
  deps: ArchiverDeps,
  { message, detail, hint, state = message }: Omit<Extract<StartVerdict, { kind: 'refused' }>, 'kind'>,
  timeline: number | undefined,
): Promise<number> {
  deps.log.error(message, { detail, hint });
  if (!(await isRefusalNew(deps, state))) return exitCodes.refused;
  await noteRefusal(deps, state);
  await notifyCritical(deps, `${deps.hostName}: ${message}. ${hint}`, timeline);
  return exitCodes.refused;
}

async function allowUnseen(deps: ArchiverDeps, timeline: number, reasons: readonly string[]): Promise<void> {
  const why = reasons.join('; ');
  deps.log.warning(
    `no standby could say whether timeline ${timeline} was left: PostgreSQL may start all the same (start_unseen: allow)`,
    { detail: why, hint: 'Make sure that no other server is the primary now.' },
  );
  await notifyCritical(
    deps,
    `PostgreSQL starts on ${deps.hostName} although no standby could say whether its timeline ${timeline} was left, so there may be two primaries: ${why}`,
    timeline,
  );
}

/**
 * `--may-start`: asked by PostgreSQL's service before it starts the server. Whether its timeline was left by a failover
 * elsewhere is not known here: only the standbys know it.
 */
export async function mayStart(deps: ArchiverDeps): Promise<number> {
  const verdict = await judge(deps);
  switch (verdict.kind) {
    case 'allowed':
      await forgetRefusal(deps);
      for (const warning of verdict.warnings) deps.log.warning(warning);
      deps.report(`PostgreSQL may start: ${verdict.reason}`);
      return 0;
    case 'refused':
      return refuse(deps, verdict, verdict.timeline);
    case 'unseen':
      if (deps.settings.start_unseen === 'allow') {
        await forgetRefusal(deps);
        await allowUnseen(deps, verdict.timeline ?? 0, verdict.reasons);
        return 0;
      }
      return refuse(
        deps,
        {
          message: `PostgreSQL must not start here: no standby could say whether timeline ${verdict.timeline ?? 0} was left (start_unseen: refuse)`,
          detail: verdict.reasons.join('; '),
          hint: 'Make one of the standbys reachable. Only if no other server is the primary now: set start_unseen: allow, and start it.',
        },
        verdict.timeline,
      );
    default:
      return unreachable(verdict);
  }
}
