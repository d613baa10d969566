import { firstSegment } from '../../../archive/first-segment.ts';
import { messageOf, refusal } from '../../../../errors.ts';
import { segmentNumber } from '../../../../postgres/lsn.ts';
import type { SegmentName } from '../../../../postgres/wal-name.ts';
import { parseTimestamp } from '../../../../postgres/timestamp.ts';
import { readContents, type ArchiveContents } from '../../../archive/contents.ts';
import { lastCommit } from '../../../archive/last-commit.ts';
import type { StandbyDeps } from '../../../deps.ts';
import type { LocalFacts } from '../facts.ts';
import type { Force } from '../../../steps/force.ts';
import type { Liveness } from '../../../primary/liveness/verdict.ts';
import { serverOf, type Server } from '../../../server/server.ts';
import { backupEnd } from '../../../recovery/base-backup-end.ts';
import { hasEnded, observeReplayed } from '../../../recovery/replayed.ts';
import type { RequestedTarget } from '../../../recovery/requested-target.ts';
import type { TargetBounds } from '../../../recovery/target.ts';

export interface RecoveryFacts extends LocalFacts {
  readonly liveness: Liveness;
  readonly force: Force;
  readonly contents: ArchiveContents;
  readonly bounds: TargetBounds;
  /** Where replay would begin. */
  readonly from: SegmentName;
  /** The transaction that is aimed at was seen to have ended here. */
  readonly hasXidEnded: boolean;
}

/** Identifies a target: the one that this standby stands at may be asked for again, to open there. */
export function targetKey({ goal, exclusive }: RequestedTarget): string {
  return JSON.stringify({ ...goal, exclusive }, (_, value: unknown) =>
    typeof value === 'bigint' ? String(value) : value,
  );
}

async function bounds(
  server: Server,
  here: LocalFacts,
  contents: ArchiveContents,
  requested: RequestedTarget,
): Promise<TargetBounds> {
  const { deps } = server;
  const { directory, state, configuration } = here;
  const { record, control } = directory;
  const end = await backupEnd(directory, contents);
  const standsThere = record.recoveredTo === targetKey(requested);
  const zone = record.backup?.timeZone ?? configuration.inFile.get('timezone') ?? 'an unknown zone';
  const now = BigInt(deps.now()) * 1000n;
  const asked = requested.goal.kind === 'time' ? parseTimestamp(requested.goal.text, zone) : undefined;
  const isLater = asked?.kind === 'moment' && asked.micros > now;
  const replayed = standsThere ? undefined : await observeReplayed(server, directory, state);
  return {
    notBefore: end.time,
    notBeforeLsn: end.lsn,
    replayed: replayed?.time,
    replayedLsn: replayed?.lsn,
    endedBeforeXid: standsThere ? undefined : control?.progress?.endedBeforeXid,
    now,
    lastCommit: isLater ? await lastCommitIn(server, contents) : undefined,
    zone,
  };
}

async function lastCommitIn(server: Server, contents: ArchiveContents) {
  const names = contents.segments.map(({ name }) => name.name);
  return lastCommit(server, contents.directory, names);
}

async function contentsHere(deps: StandbyDeps, { directory, archive }: LocalFacts): Promise<ArchiveContents> {
  if (archive.kind === 'unusable') {
    throw refusal(`the archive cannot be read: ${archive.reason}; nothing was changed`, {
      hint: 'Mount or repair archivedir.',
    });
  }
  const { sentinel } = archive.archive;
  try {
    return await readContents(deps.settings.archivedir, directory, sentinel.systemIdentifier);
  } catch (error) {
    throw refusal(`the archive cannot be read: ${messageOf(error)}; nothing was changed`);
  }
}

/** What a recovery to a target must know beside what a failover must. */
export async function observeForTarget(
  deps: StandbyDeps,
  here: LocalFacts,
  requested: RequestedTarget,
): Promise<Pick<RecoveryFacts, 'contents' | 'bounds' | 'from' | 'hasXidEnded'>> {
  const server = serverOf(deps, here.directory.capabilities);
  const contents = await contentsHere(deps, here);
  const { goal } = requested;
  const mayAsk = here.state.kind === 'recovering' && here.state.answers && goal.kind === 'xid';
  return {
    contents,
    bounds: await bounds(server, here, contents, requested),
    from: firstSegment(here.directory, contents),
    hasXidEnded: mayAsk && (await hasEnded(server, goal.xid)),
  };
}

export function firstNumber({ from, contents }: Pick<RecoveryFacts, 'from' | 'contents'>): number {
  return segmentNumber(from, contents.layout);
}
