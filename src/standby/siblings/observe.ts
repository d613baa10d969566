import type { StandbyDeps } from '../deps.ts';
import { findDataDirectory } from '../server/progress.ts';
import { askSiblings, type Sibling } from './ask.ts';
import type { Comparison } from './compare.ts';
import { ownQuestion } from './own-reach.ts';
import { readSiblings, type SiblingList } from './siblings.ts';

/** The other standbys, and their answers. */
export interface Others {
  /** Undefined if this action neither asks nor informs them. */
  readonly list: SiblingList | undefined;
  readonly siblings: readonly Sibling[];
}

export interface SiblingFacts extends Others {
  readonly comparison: Comparison;
}

export const noComparison: Comparison = { fetches: [], reach: undefined, compared: [] };
export const nobodyAsked: SiblingFacts = { list: undefined, siblings: [], comparison: noComparison };

/** Asks the other standbys that this host's cmd_archiver would feed. Never fails. */
export async function askOthers(deps: StandbyDeps): Promise<Others> {
  const list = await readSiblings(deps);
  if (list.kind === 'unknown' || list.targets.length === 0) return { list, siblings: [] };
  const directory = await findDataDirectory(deps);
  const question = directory === undefined ? undefined : await ownQuestion(deps, directory);
  if (question === undefined) return { list, siblings: [] };
  return { list, siblings: await askSiblings(deps, list.archiver, list.targets, question) };
}
