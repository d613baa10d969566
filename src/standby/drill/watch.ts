/** Ends a drill that must give up: for want of time or space, or because the standby itself is about to change. */
import { durationText, sizeText } from '../../amounts.ts';
import { PitrError } from '../../errors.ts';
import { systemClock } from '../../system/clock.ts';
import { isLocked } from '../../system/lock.ts';
import type { StandbyDeps } from '../deps.ts';
import { actionLockPath } from '../host/action-lock.ts';
import { readRecord } from '../host/backup-record/record.ts';
import type { Origin } from './origin.ts';
import type { DrillPlace } from './place.ts';
import { lowerSessions } from './politeness.ts';
import { bytesTaken, findNoRoom, sharedDirectories } from './room.ts';

const everyMs = 1_000;
/** The contents of a large copy take a while to be counted: so many times as long it is left alone after that. */
const countPauses = 10;
const leastPauseMs = 2_000;
/** --cleanup and others hold the lock for moments; a failover or a base backup needs the host. */
const mayHoldMs = 10_000;

export interface Watched {
  /** The most bytes that the copy was seen to take. */
  bytes: number;
  /** The size of those of its files that share their blocks with the standby's: they take no space, though the system counts it. */
  sharedBytes: number;
  /** The drill itself holds the lock of the actions, to stop the standby or to start it again. */
  isActing: boolean;
}

interface Watching {
  readonly deps: StandbyDeps;
  readonly origin: Origin;
  readonly place: DrillPlace;
  readonly seen: Watched;
}

const giveUp = (why: string, hint = 'Run the drill again later.'): PitrError =>
  new PitrError(`the drill gave up: ${why}`, { hint });

async function changeOfRoles({ origin }: Watching): Promise<PitrError | undefined> {
  const record = await readRecord(origin.server.pgdata).catch(() => undefined);
  const isBegun =
    record?.promotion !== undefined ||
    record?.isFenceBegun === true ||
    record?.switchover !== undefined ||
    record?.promotedAtTimeline !== origin.directory.record.promotedAtTimeline ||
    record?.backup?.status === 'copying';
  return isBegun ? giveUp('an action that changes the standby was begun') : undefined;
}

/** Looks at the lock of the actions; the function remembers since when it is held. */
function lockLook({ deps, seen }: Watching): () => Promise<PitrError | undefined> {
  let sinceMs: number | undefined;
  return async () => {
    const held = await isLocked(deps.run, actionLockPath(deps)).catch(() => false);
    if (!held || seen.isActing) sinceMs = undefined;
    else sinceMs ??= deps.monotonicMs();
    const isLong = sinceMs !== undefined && deps.monotonicMs() - sinceMs >= mayHoldMs;
    return isLong ? giveUp('another action of cmd_standby is running') : undefined;
  };
}

/** @returns a look at the size of the copy, which is taken now and then */
export function sizeLook({
  deps,
  place,
  seen,
}: Pick<Watching, 'place' | 'seen'> & {
  readonly deps: Pick<StandbyDeps, 'settings' | 'monotonicMs'>;
}): () => Promise<PitrError | undefined> {
  const { drill_limit: limit } = deps.settings;
  let nextMs = deps.monotonicMs() + leastPauseMs;
  return async () => {
    const beganMs = deps.monotonicMs();
    if (beganMs < nextMs) return undefined;
    const bytes = await bytesTaken(place.run, seen.sharedBytes);
    seen.bytes = Math.max(seen.bytes, bytes);
    const endMs = deps.monotonicMs();
    nextMs = endMs + Math.max(leastPauseMs, countPauses * (endMs - beganMs));
    if (limit === undefined || bytes <= limit) return undefined;
    return giveUp(
      `the copy takes ${sizeText(bytes)}, and drill_limit is ${sizeText(limit)}`,
      'Raise drill_limit.',
    );
  };
}

/** Lowers the processes that the drill has started since; but none while it stops or starts the standby. */
async function lookAtSessions({ deps, place, seen }: Watching, isOver: () => boolean): Promise<undefined> {
  await lowerSessions(deps, place, () => !seen.isActing && !isOver());
}

async function watch(watching: Watching, end: AbortController): Promise<void> {
  const { deps, origin, place } = watching;
  const { drill_time: limitS } = deps.settings;
  const endMs = deps.monotonicMs() + limitS * 1000;
  const shared = await sharedDirectories(origin, place);
  const isOver = (): boolean => end.signal.aborted;
  const looks = [
    () =>
      Promise.resolve(
        deps.monotonicMs() >= endMs
          ? giveUp(`it has taken ${durationText(limitS)} (drill_time)`, 'Raise drill_time.')
          : undefined,
      ),
    () => findNoRoom(deps, shared),
    () => changeOfRoles(watching),
    lockLook(watching),
    sizeLook(watching),
    () => lookAtSessions(watching, isOver),
  ];
  while (!isOver()) {
    for (const look of looks) {
      const reason = await look();
      if (reason !== undefined) end.abort(reason);
      if (isOver()) return;
    }
    await deps.pause(Math.min(everyMs, Math.max(1, endMs - deps.monotonicMs())));
  }
}

/** A statement may take minutes: nothing waits for its end any more. */
async function untilAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  let stop: () => void = () => undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => {
      reject(signal.reason as Error);
    };
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
    work.catch(() => undefined);
  }
}

/** The outside world of a drill: all of it ends with the signal. */
function endingWith(deps: StandbyDeps, signal: AbortSignal): StandbyDeps {
  return {
    ...deps,
    ...systemClock(signal),
    signal,
    withLocalSql: (server, limitMs, use) =>
      untilAborted(signal, deps.withLocalSql(server, limitMs, use, signal)),
  };
}

/** Runs `use` with a signal that is aborted when the drill must give up; its reason says why. */
export async function watched<T>(
  deps: StandbyDeps,
  origin: Origin,
  place: DrillPlace,
  use: (deps: StandbyDeps, seen: Watched) => Promise<T>,
): Promise<T> {
  const end = new AbortController();
  const done = new AbortController();
  const onSignal = (): void => {
    end.abort(deps.signal.reason);
  };
  deps.signal.addEventListener('abort', onSignal, { once: true });
  if (deps.signal.aborted) onSignal();
  const seen = { bytes: 0, sharedBytes: 0, isActing: false };
  const own = { ...deps, ...systemClock(done.signal) };
  const watching = watch({ deps: own, origin, place, seen }, end).catch((error: unknown) => {
    // Only the end of the drill ends a pause here; a look that fails must not be taken for a good one.
    if (!done.signal.aborted) end.abort(error);
  });
  try {
    return await use(endingWith(deps, end.signal), seen);
  } catch (error) {
    // An interrupted step fails in many ways: the reason for it is what counts.
    throw end.signal.aborted ? end.signal.reason : error;
  } finally {
    done.abort();
    deps.signal.removeEventListener('abort', onSignal);
    await watching;
  }
}
