import type { TimelinePath } from '../../postgres/timelines.ts';
import { quoted } from '../../system/printable.ts';
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

function isSilent({ answer }: Sibling): boolean {
  return answer.kind === 'silent';
}

/**
 * Asks once more those that answered: the silent ones would only take time. One that falls silent now may only be slow,
 * and gets a second chance.
 */
export async function askAgain(deps: StandbyDeps, { list, siblings }: Others): Promise<Others> {
  if (list?.kind !== 'known') return { list, siblings };
  const ask = async (those: readonly Sibling[]) =>
    (await askListed(deps, { ...list, targets: those.map(({ target }) => target) })).siblings;
  const again = await ask(siblings.filter((each) => !isSilent(each)));
  const last = await ask(again.filter(isSilent));
  for (const { target, answer } of last)
    if (answer.kind === 'silent')
      deps.log.warning(
        `standby ${target.name} does not answer any more (${quoted(answer.reason)}): how far it has come by now, and whether it was promoted, is unknown`,
      );
  return {
    list,
    siblings: [...again.filter((each) => !isSilent(each)), ...last, ...siblings.filter(isSilent)],
  };
}

async function askListed(deps: StandbyDeps, list: SiblingList): Promise<Others> {
  if (list.kind === 'unknown' || list.targets.length === 0) return { list, siblings: [] };
  const directory = await findDataDirectory(deps);
  const question = directory === undefined ? undefined : await ownQuestion(deps, directory);
  if (question === undefined) return { list, siblings: [] };
  return { list, siblings: await askSiblings(deps, list.archiver, list.targets, question) };
}
