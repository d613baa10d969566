/**
 * Determines whether a failover takes the primary's role: only then is the old timeline declared left, and are the other
 * standbys informed of it. A server that was opened to look at something must not cut them off from a primary that lives.
 */
import { join } from 'node:path';
import { messageOf, PitrError } from '../../../errors.ts';
import type { TimelineEntry } from '../../../postgres/history.ts';
import { isHostWord, type LeftTimeline } from '../../../postgres/left-timeline.ts';
import { firstLsnOf } from '../../../postgres/lsn.ts';
import { historyName } from '../../../postgres/wal-name.ts';
import { writeLeftMarks } from '../../../system/left-marks.ts';
import { withdrawProofs } from '../../../system/proofs.ts';
import { readSentinel, updateSentinel } from '../../../system/sentinel.ts';
import { readHistory } from '../../archive/contents.ts';
import { publicName } from '../../peers/peer.ts';
import type { Server } from '../../server/server.ts';
import type { SiblingFacts } from '../../siblings/observe.ts';
import { type FailoverFacts, isOpened } from './facts.ts';

export type Role =
  | { readonly kind: 'taken' }
  /** `reason` completes "because …". */
  | { readonly kind: 'left'; readonly reason: string };

const taken: Role = { kind: 'taken' };

/** @param opensAtTarget the server opens at a recovery target, and leaves out WAL on purpose */
export function roleOf(
  facts: Pick<FailoverFacts, 'liveness' | 'takesRole' | 'state' | 'directory' | 'fence'>,
  opensAtTarget: boolean,
): Role {
  if (facts.takesRole) return taken;
  // The run that opened the server decided, and was ended before it had finished.
  const { takesRole: decided } = facts.directory.record;
  if (isOpened(facts) && decided !== undefined)
    return decided ? taken : { kind: 'left', reason: 'the run that opened it did not take it' };
  if (opensAtTarget) return { kind: 'left', reason: 'the server was opened at a recovery target' };
  switch (facts.liveness.kind) {
    case 'dead':
    case 'unreachable':
      return taken;
    case 'alive':
      return { kind: 'left', reason: 'the old primary is alive' };
    case 'unasked':
      // The operator says that it is down, and the fence makes sure of it.
      if (facts.fence.kind === 'due' || facts.fence.kind === 'done') return taken;
      return { kind: 'left', reason: 'the old primary could not be asked' };
  }
}

function lsnOf({ timeline, end }: TimelineEntry, segmentSize: number): Omit<LeftTimeline, 'by'> {
  // Up to 9.2 the history names only the segment. All of it counts as left.
  return { timeline, lsn: end.kind === 'lsn' ? end.lsn : firstLsnOf(end.segment, segmentSize) };
}

const usualSegmentSize = 16 * 1024 * 1024;

/** A name that an INI file or a file of marks cannot hold is not needed by anybody to find the host. */
function ownWord(hostName: string): string {
  return isHostWord(hostName) ? hostName : 'unnamed-host';
}

/**
 * The timelines that this server's history left, oldest first. Its history proves the locations; of an earlier
 * timeline, a mark that this host was informed of has the right name.
 */
async function marksOf(server: Server, timeline: number): Promise<readonly LeftTimeline[]> {
  const { deps, pgdata, capabilities } = server;
  const { walDirName } = capabilities;
  const entries = await readHistory(join(pgdata, walDirName), timeline);
  if (entries === undefined)
    throw new PitrError(
      `there is no ${historyName(timeline).text} in ${walDirName}, which would say what was left`,
    );
  const inSentinel = (await readSentinel(deps.settings.archivedir).catch(() => undefined))?.left ?? [];
  return entries.map((entry) => {
    const left = lsnOf(entry, usualSegmentSize);
    const known = inSentinel.find((mark) => mark.timeline === left.timeline && mark.lsn === left.lsn);
    return known ?? { ...left, by: ownWord(publicName(deps)) };
  });
}

/** These marks in place of others for the same timelines. */
function replaced(before: readonly LeftTimeline[], marks: readonly LeftTimeline[]): readonly LeftTimeline[] {
  const others = before.filter(({ timeline }) => !marks.some((mark) => mark.timeline === timeline));
  return [...others, ...marks].sort((a, b) => a.timeline - b.timeline);
}

async function markOwnArchive({ deps }: Server, marks: readonly LeftTimeline[]): Promise<void> {
  await updateSentinel(deps.run, deps.settings.archivedir, (sentinel) => {
    if (sentinel === undefined) throw new PitrError('it has no sentinel');
    return { ...sentinel, left: replaced(sentinel.left, marks) };
  });
}

/** The outcome of declaring timelines left. */
export interface LeftResult {
  readonly marks: readonly LeftTimeline[];
  /** Why this host's cmd_archiver will not inform the standbys; undefined if it will. */
  readonly problem: string | undefined;
}

/** A promotion has happened: nothing here may keep the remaining steps from running. */
export async function declareLeft(
  server: Server,
  timeline: number,
  { list }: SiblingFacts,
): Promise<LeftResult> {
  const { log } = server.deps;
  let marks: readonly LeftTimeline[];
  try {
    marks = await marksOf(server, timeline);
  } catch (error) {
    const problem = messageOf(error);
    log.warning(`the old timeline cannot be declared left: ${problem}`);
    return { marks: [], problem };
  }
  await markOwnArchive(server, marks).catch((error: unknown) => {
    log.warning(`the timelines that were left cannot be noted in archivedir: ${messageOf(error)}`);
  });
  // Said before anything was changed.
  if (list?.kind !== 'known') return { marks, problem: list?.reason };
  const { l_archivedir: directory } = list.archiver;
  try {
    // An earlier role of this host proved nothing about the WAL that it writes now.
    await withdrawProofs(log, join(directory, '.archiver'), () => true);
    // Marks of timelines that are not in the history of this server remain from an earlier promotion.
    await writeLeftMarks(directory, marks);
    return { marks, problem: undefined };
  } catch (error) {
    const problem = messageOf(error);
    log.warning(
      `cannot write the timelines that were left to "${directory}" (${problem}): cmd_archiver here will not inform the standbys. Correct that before this server archives`,
    );
    return { marks, problem };
  }
}
