import type { StandbyDeps } from '../../../deps.ts';
import type { LocalPlace } from '../../../host/place.ts';
import { findOverlaps, type FoundOverlap } from '../../../host/same-place.ts';
import { filledDirectories } from '../../../host/tablespaces.ts';
import type { Primary, PrimaryFacts } from '../../../primary/primary.ts';
import { parseSourceState, type SourceState, sourceStateSql } from './state.ts';

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
