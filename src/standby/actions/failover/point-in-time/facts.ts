import { messageOf } from '../../../../errors.ts';
import { parseTimestamp } from '../../../../postgres/timestamp.ts';
import { type ArchiveContents, readContents } from '../../../archive/contents.ts';
import { lastCommit } from '../../../archive/last-commit.ts';
import type { StandbyDeps } from '../../../deps.ts';
import { backupEnd } from '../../../recovery/base-backup-end.ts';
import { hasEnded, observeReplayed } from '../../../recovery/replayed.ts';
import type { RequestedTarget } from '../../../recovery/requested-target.ts';
import type { TargetBounds } from '../../../recovery/target.ts';
import { type Server, serverOf } from '../../../server/server.ts';
import type { FailoverFacts, LocalFacts } from '../facts.ts';

type ContentsFact =
  | { readonly kind: 'contents'; readonly contents: ArchiveContents }
  | { readonly kind: 'unusable'; readonly reason: string };

/** Facts that only a recovery to a target needs. */
interface TargetFacts {
  readonly wal: ContentsFact;
  readonly bounds: TargetBounds;
  /** Whether the server here has replayed the end of the requested transaction. */
  readonly hasXidEnded: boolean;
  readonly isStreaming: boolean;
}

export interface RecoveryFacts extends FailoverFacts, TargetFacts {}

/** Identifies a target: if a standby is paused at one, the same target may be requested again, to open the server there. */
export function targetKey({ goal, exclusive }: RequestedTarget): string {
  return JSON.stringify({ ...goal, exclusive }, (_, value: unknown) =>
    typeof value === 'bigint' ? String(value) : value,
  );
}

async function bounds(
  server: Server,
  here: LocalFacts,
  contents: ArchiveContents | undefined,
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
  const names = contents?.segments.map(({ name }) => name.text) ?? [];
  const replayed = standsThere ? undefined : await observeReplayed(server, directory, state);
  return {
    notBefore: end.time,
    notBeforeLsn: end.lsn,
    replayed: replayed?.time,
    replayedLsn: replayed?.lsn,
    endedBeforeXid: standsThere ? undefined : control?.progress?.endedBeforeXid,
    now,
    lastCommit: isLater ? await lastCommit(server, deps.settings.archivedir, names) : undefined,
    zone,
  };
}

async function contentsHere(
  { settings }: StandbyDeps,
  { directory, archive }: LocalFacts,
): Promise<ContentsFact> {
  if (archive.kind === 'unusable') return archive;
  const { systemIdentifier } = archive.archive.sentinel;
  try {
    const contents = await readContents(settings.archivedir, directory, systemIdentifier);
    return { kind: 'contents', contents };
  } catch (error) {
    return { kind: 'unusable', reason: messageOf(error) };
  }
}

export async function observeForTarget(
  deps: StandbyDeps,
  here: LocalFacts,
  requested: RequestedTarget,
): Promise<TargetFacts> {
  const server = serverOf(deps, here.directory.capabilities);
  const wal = await contentsHere(deps, here);
  const { goal } = requested;
  const canAsk = here.state.kind === 'recovering' && here.state.answers && goal.kind === 'xid';
  return {
    wal,
    bounds: await bounds(server, here, wal.kind === 'contents' ? wal.contents : undefined, requested),
    hasXidEnded: canAsk && (await hasEnded(server, goal.xid)),
    isStreaming: deps.settings.use_streaming_replication,
  };
}
