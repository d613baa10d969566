import { messageOf, PitrError } from '../../errors.ts';
import { isMoment } from '../../system/clock.ts';
import { readIfExists } from '../../system/durable.ts';
import { type Checked, type Guarded, is, parseJson } from '../../system/json.ts';
import { saidFields, type Severity } from '../../system/notify.ts';
import { quoted } from '../../system/printable.ts';
import { type Concern, concernSeverities, troubleSeverities } from '../delivery/trouble.ts';
import type { Lane } from './lane.ts';

/** How serious each condition of a lane is. */
export const severities = {
  ...troubleSeverities,
  ...concernSeverities,
  ok: 'ok',
  /** It was reached, but its queue is not empty yet. */
  behind: 'warning',
  /** The standby did not accept the WAL, and it could not be queued either. */
  unsafe: 'critical',
  abandoned: 'critical',
} as const satisfies Readonly<Record<string, Severity>>;

export type Health = keyof typeof severities;

const isHealth = (value: unknown): value is Health =>
  typeof value === 'string' && Object.hasOwn(severities, value);

/** The condition of a standby that has all WAL. */
export function wellBut(concern: Concern | undefined): { readonly health: Health; readonly reason?: string } {
  return concern === undefined ? { health: 'ok' } : { health: concern.kind, reason: concern.reason };
}

/** Whether a standby in this condition has all WAL. */
export function hasAllWal(health: Health): boolean {
  return health === 'ok' || Object.hasOwn(concernSeverities, health);
}

const isAbandoned = is.object({
  /** ISO 8601. */
  since: is.text,
  /** By the operator, or by `queue_full: abandon`. */
  by: is.oneOf('operator', 'policy'),
  /** The WAL that the standby will never get: oldest and newest name. */
  firstLost: is.optional(is.text),
  lastLost: is.optional(is.text),
});

export type Abandoned = Guarded<typeof isAbandoned>;

const isCaughtUp = is.object({
  /** The timeline that this server wrote then. */
  timeline: is.number,
  /** Where that timeline branched off, because numbers are used again: `TIMELINE LSN`; empty for the first one. */
  fork: is.text,
  /** The start of the server (OwnWal). */
  run: is.text,
  /** The content of the file that ends the proof by its removal (system/proofs.ts). */
  token: is.text,
  /** The standby had no data, so it lacked nothing. */
  hasNoData: is.optional(is.boolean),
});

/** The proof that the standby has all WAL from its restartpoint on, apart from the gap, if there is one. */
export type CaughtUp = Guarded<typeof isCaughtUp>;

const isConflict = is.object({ name: is.text, reason: is.text });

/** A file that the standby has under a name that it lacks: nothing is sent to replace it. */
export type Conflict = Guarded<typeof isConflict>;

const isGap = is.object({
  missing: is.listOf(is.object({ first: is.text, last: is.text })),
  conflicts: is.optional(is.listOf(isConflict)),
  /** Why a place on this host could not be read where that WAL may be. */
  unread: is.optional(is.text),
  /** ISO 8601. */
  since: is.text,
  said: is.optional(is.object(saidFields)),
});

/** WAL that the standby lacks, and that this host has nowhere or cannot send. */
export type Gap = Guarded<typeof isGap>;

/** All that a standby lacks at the end of a catch-up. */
export type Lack = Pick<Gap, 'missing' | 'unread'> & { readonly conflicts: readonly Conflict[] };

export const lacksNothing: Lack = { missing: [], conflicts: [] };

/** `0000…A3 to 0000…A5, 0000…B1` */
function describeMissing(missing: Gap['missing']): string {
  return missing.map(({ first, last }) => (first === last ? first : `${first} to ${last}`)).join(', ');
}

/** The predicates of a sentence about the standby; none if it lacks nothing. */
export function describeLack({
  missing,
  conflicts = [],
  unread,
}: Pick<Gap, 'missing' | 'conflicts' | 'unread'>): readonly string[] {
  const wayOut = 'it needs a new base backup, unless it streams them';
  const search =
    unread === undefined
      ? `they exist nowhere here: ${wayOut}`
      : `they were not found here, where not everything can be read (${quoted(unread)}). Correct that, and what is found is sent; otherwise ${wayOut}`;
  const lacks = `lacks ${describeMissing(missing)} and ${search}`;
  const names = conflicts.map(({ name, reason }) => `${name} (${reason})`).join(', ');
  const holds = `holds another file under the name of WAL that it lacks, which is not replaced: ${names}. Move such a file out of archivedir there, and it is sent; or make a new base backup there`;
  return [...(missing.length > 0 ? [lacks] : []), ...(conflicts.length > 0 ? [holds] : [])];
}

/** The memory of one lane between calls. Only the holder of its lock writes it. */
const stateFields = {
  health: isHealth,
  /** When `health` got its present value; ISO 8601. */
  since: is.optional(is.text),
  /** The same moment for programs to measure from, because the time of day may be set. */
  sinceMoment: is.optional(isMoment),
  reason: is.optional(is.text),
  /** For the health `left`: the mark for which the standby refused WAL, as `formatLeft` writes it. */
  refusedFor: is.optional(is.text),
  /** We do not contact the standby before this time: milliseconds since 1970. */
  retryAt: is.optional(is.number),
  said: is.optional(is.object(saidFields)),
  /** The last resume request that was seen: one request ends one abandonment only. */
  seenRequest: is.optional(is.text),
  abandoned: is.optional(isAbandoned),
  /** Changes each time the queue is freed, so that a process that remembers the queue's contents learns that they are gone. */
  freed: is.optional(is.text),
  /** Absent: it is not known what the standby has, so that it must be asked. */
  caughtUp: is.optional(isCaughtUp),
  gap: is.optional(isGap),
};

/** Fields whose wrong value must not stop archiving: without them the standby is asked or informed once more. */
const descriptive = [
  'since',
  'sinceMoment',
  'reason',
  'refusedFor',
  'retryAt',
  'said',
  'freed',
  'caughtUp',
  'gap',
] as const;

export type LaneState = Checked<typeof stateFields>;

export const fresh: LaneState = { health: 'ok' };

export async function readLaneState({ stateFile, name }: Lane): Promise<LaneState> {
  const content = await readIfExists(stateFile);
  if (content === undefined) return fresh;
  try {
    return parseJson(content.toString('utf8'), stateFields, descriptive);
  } catch (error) {
    // If we continued without the state, we would forget that the standby may be abandoned.
    throw new PitrError(`cannot understand "${stateFile}"`, {
      detail: messageOf(error),
      hint: `Remove it. If the standby "${name}" was abandoned, then run --abandon ${name}.`,
    });
  }
}
