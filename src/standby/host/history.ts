/**
 * The history of this host: the changes of roles and the base backups that cmd_standby has carried out here, and for whom. A
 * record for people, in archivedir, which outlives a data directory: nothing decides by it.
 */
import { join } from 'node:path';
import { messageOf } from '../../errors.ts';
import { formatLsn } from '../../postgres/lsn.ts';
import { callerFields, callerOf } from '../../system/caller.ts';
import { exists } from '../../system/durable.ts';
import { appendToJournal, entryOf, isTime, type Journal, readJournal } from '../../system/journal.ts';
import { type Checked, type Fields, is } from '../../system/json.ts';
import { takeLock } from '../../system/lock.ts';
import { sentinelName } from '../../system/sentinel.ts';
import type { StandbyDeps } from '../deps.ts';
import { isPhase } from '../recovery/phases.ts';

const noted = { at: isTime, ...callerFields };

/** The same of a failover and of a drill, so that they can be compared. */
const courseFields = {
  rtoSeconds: is.optional(is.number),
  phases: is.optional(is.listOf(isPhase)),
  replayedTo: is.optional(is.text),
  lastCommit: is.optional(is.text),
};

export type NotedCourse = Checked<typeof courseFields>;

const eventFields = {
  'base-backup': { ...noted, label: is.text, startLsn: is.text, source: is.optional(is.text) },
  /** -S: the server entered standby mode. */
  'standby-started': noted,
  /** The server was opened; the timeline is absent if it was not determined. */
  promoted: {
    ...noted,
    by: is.oneOf('failover', 'recovery', 'switchover'),
    /** The host of the old primary. */
    primary: is.text,
    timeline: is.optional(is.number),
    ...courseFields,
  },
  /** A recovery ended at its target without a promotion. */
  recovered: { ...noted, action: is.oneOf('pause', 'shutdown'), target: is.text },
  /** The standby was seen to follow that host; `asked`: at the request of another host. */
  follows: { ...noted, primary: is.text, timeline: is.number, lsn: is.text, asked: is.optional(is.boolean) },
  /** A former primary was seen to follow that host. */
  rejoined: { ...noted, primary: is.text, way: is.text },
  /** This primary was shut down so that another host can take its role. */
  'stopped-for': { ...noted, by: is.text, timeline: is.number, end: is.text },
  /** The stop was taken back. */
  resumed: { ...noted, timeline: is.number },
  /** The archive accepts no WAL of a timeline from behind a location any more; the mark is as in the sentinel. */
  'left-marked': { ...noted, mark: is.text, moved: is.number },
  /** A failover was rehearsed on a copy of this standby. */
  drilled: {
    ...noted,
    result: is.oneOf('passed', 'failed'),
    /** If not set, from a copy of this standby. */
    from: is.optional(is.oneOf('new base backup')),
    ...courseFields,
    reason: is.optional(is.text),
  },
  'left-taken-back': { ...noted, mark: is.text },
} as const satisfies Readonly<Record<string, Fields>>;

type Kinds = typeof eventFields;

export type HistoryEvent = {
  [Kind in keyof Kinds]: { readonly kind: Kind } & Checked<Kinds[Kind]>;
}[keyof Kinds];

export type NewHistoryEvent = {
  [Kind in keyof Kinds]: { readonly kind: Kind } & Omit<Checked<Kinds[Kind]>, keyof typeof noted>;
}[keyof Kinds];

type HistoryDeps = Pick<StandbyDeps, 'settings' | 'log' | 'now' | 'hostName' | 'run'>;

function historyPath({ settings }: Pick<StandbyDeps, 'settings'>): string {
  return join(settings.archivedir, '.cmd_standby.history');
}

/** Another one only appends a line. */
const lockWaitMs = 2_000;

/** Call this once the event was seen. Never fails: what was done is done. */
export async function noteHistory(deps: HistoryDeps, event: NewHistoryEvent): Promise<void> {
  const path = historyPath(deps);
  const { archivedir } = deps.settings;
  try {
    // Nothing is left below the mount point of an archive that is not mounted.
    if (!(await exists(join(archivedir, sentinelName))))
      throw new Error(`${archivedir} has no ${sentinelName}: is its file system mounted?`);
    const at = new Date(deps.now()).toISOString();
    const lock = await takeLock(deps.run, `${path}.lock`, lockWaitMs);
    try {
      await appendToJournal(path, [{ at, ...event, ...callerOf(deps) }], at);
    } finally {
      await lock?.release();
    }
  } catch (error) {
    deps.log.warning(`cannot write "${path}": ${messageOf(error)}`);
  }
}

export function readHistory(deps: Pick<StandbyDeps, 'settings'>): Promise<Journal<HistoryEvent>> {
  return readJournal(historyPath(deps), (value): HistoryEvent => entryOf(eventFields, value));
}

/** A run that only finishes what an earlier one left writes nothing more. `timeline`: see `promoted`. */
export async function notePromotion(
  deps: HistoryDeps,
  by: 'failover' | 'recovery' | 'switchover',
  primary: string,
  timeline: number | undefined,
  course: NotedCourse = {},
): Promise<void> {
  const before = await readHistory(deps).catch(() => undefined);
  const entries = before?.entries ?? [];
  // A new base backup may lead to a timeline of the same number.
  const since = entries.slice(entries.findLastIndex(({ kind }) => kind === 'base-backup') + 1);
  const isNoted = since.some((event) => event.kind === 'promoted' && event.timeline === timeline);
  if (timeline !== undefined && isNoted) return;
  const onto = timeline === undefined ? {} : { timeline };
  await noteHistory(deps, { kind: 'promoted', by, primary, ...onto, ...course });
}

/** A standby was seen to follow that host. */
export async function noteFollowed(
  deps: HistoryDeps,
  { timeline, lsn }: { readonly timeline: number; readonly lsn: bigint },
  primary: string,
  asked = false,
): Promise<void> {
  await noteHistory(deps, {
    kind: 'follows',
    primary,
    timeline,
    lsn: formatLsn(lsn),
    ...(asked ? { asked } : {}),
  });
}
