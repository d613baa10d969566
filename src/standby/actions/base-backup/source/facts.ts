import type { SqlRow } from '../../../../postgres/backup-sql.ts';
import { parseLsn } from '../../../../postgres/lsn.ts';
import { sourceStateSql } from '../../../../postgres/server-sql.ts';
import type { StandbyDeps } from '../../../deps.ts';
import type { LocalPlace } from '../../../host/place.ts';
import { findOverlaps, type FoundOverlap } from '../../../host/same-place.ts';
import { filledDirectories } from '../../../host/tablespaces.ts';
import type { Primary, PrimaryFacts } from '../../../primary/primary.ts';

/** The state of a standby at one moment. */
export interface SourceState {
  readonly inRecovery: boolean;
  readonly isPaused: boolean;
  /** The end of the WAL that was replayed; undefined if none was. */
  readonly replayedLsn: bigint | undefined;
  /** All changes before this location are on its disk: its own recovery would start here. */
  readonly redoLsn: bigint;
  /** The timeline of its last restartpoint. */
  readonly timeline: number;
}

/** The answer to `sourceStateSql`. */
export function parseSourceState(rows: readonly SqlRow[]): SourceState {
  const [inRecovery, isPaused, replayed, redo, timeline] = rows[0] ?? [];
  return {
    inRecovery: inRecovery === 't',
    isPaused: isPaused === 't',
    replayedLsn:
      replayed === undefined || replayed === null || replayed === '' ? undefined : parseLsn(replayed),
    redoLsn: parseLsn(redo ?? ''),
    timeline: Number(timeline),
  };
}

/** Facts about the standby whose files are copied, from before the backup begins. */
export interface SourceFacts {
  readonly host: string;
  readonly server: PrimaryFacts;
  /** Undefined up to 9.5, which has no query for it. */
  readonly state: SourceState | undefined;
  /** Directories of this host that belong to that standby. */
  readonly overlaps: readonly FoundOverlap[];
}

export async function askState({ facts, query }: Pick<Primary, 'facts' | 'query'>): Promise<SourceState> {
  return parseSourceState(await query(sourceStateSql(facts.capabilities)));
}

export async function observeSource(
  deps: StandbyDeps,
  source: Primary,
  place: LocalPlace,
): Promise<SourceFacts> {
  const { facts, shell } = source;
  const theirs = [facts.dataDirectory, ...facts.tablespaces.map(({ location }) => location)];
  return {
    host: shell.target.host,
    server: facts,
    state: facts.capabilities.controlRedoColumn === undefined ? undefined : await askState(source),
    overlaps: await findOverlaps(deps.run, shell, filledDirectories(place), theirs),
  };
}
