import type { TimelinePath } from '../../postgres/timelines.ts';
import type { StandbyDeps } from '../deps.ts';
import { findDataDirectory } from '../server/progress.ts';
import { askSiblings, type Sibling } from './ask.ts';
import type { Comparison } from './compare.ts';
import { ownQuestion } from './own-reach.ts';
import type { Rival } from './rivals.ts';
import { readSiblings, type SiblingList } from './siblings.ts';

/** The other standbys, and their answers. */
export interface Others {
  /** Undefined if this action neither asks nor informs them. */
  readonly list: SiblingList | undefined;
  readonly siblings: readonly Sibling[];
}

export interface SiblingFacts extends Others {
  readonly comparison: Comparison;
  /** Those that were promoted apart from this host, or are about to be. */
  readonly rivals: readonly Rival[];
  /** The history of this host; undefined if it cannot be read. */
  readonly path: TimelinePath | undefined;
}

export const noComparison: Comparison = { fetches: [], reach: undefined, compared: [] };
export const nobodyAsked: SiblingFacts = {
  list: undefined,
  siblings: [],
  comparison: noComparison,
  rivals: [],
  path: undefined,
};

/** Asks the other standbys that this host's cmd_archiver would feed. Never fails. */
export async function askOthers(deps: StandbyDeps): Promise<Others> {
  return askListed(deps, await readSiblings(deps));
}

/** Asks once more those that answered: the silent ones would only take time. */
export async function askAgain(deps: StandbyDeps, { list, siblings }: Others): Promise<Others> {
  if (list?.kind !== 'known') return { list, siblings };
  const silent = siblings.filter(({ answer }) => answer.kind === 'silent');
  const targets = siblings.filter((each) => !silent.includes(each)).map(({ target }) => target);
  const again = await askListed(deps, { ...list, targets });
  return { list, siblings: [...again.siblings, ...silent] };
}

async function askListed(deps: StandbyDeps, list: SiblingList): Promise<Others> {
  if (list.kind === 'unknown' || list.targets.length === 0) return { list, siblings: [] };
  const directory = await findDataDirectory(deps);
  const question = directory === undefined ? undefined : await ownQuestion(deps, directory);
  if (question === undefined) return { list, siblings: [] };
  return { list, siblings: await askSiblings(deps, list.archiver, list.targets, question) };
}
