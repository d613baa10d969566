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
  /** When those that are silent had been asked, on the clock of `monotonicMs`; undefined if nobody was. */
  readonly askedMs?: number;
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
  const others = await askListed(deps, await readSiblings(deps));
  return { ...others, askedMs: deps.monotonicMs() };
}

function isSilent({ answer }: Sibling): boolean {
  return answer.kind === 'silent';
}

/**
 * Asks once more those that answered: the silent ones would only take time. One that falls silent now may only be slow,
 * and gets a second chance.
 */
export async function askAgain(deps: StandbyDeps, others: Others): Promise<Others> {
  const { list, siblings } = others;
  if (list?.kind !== 'known') return others;
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
    ...others,
    siblings: [...again.filter((each) => !isSilent(each)), ...last, ...siblings.filter(isSilent)],
  };
}

/**
 * Asks once more those that were silent, if that was long ago: a replay lies between, during which a host or a network may
 * have come back. The host of the primary is looked at in another way.
 *
 * @returns those that answer now
 */
export async function askSilent(
  deps: StandbyDeps,
  { list, siblings, askedMs }: Others,
): Promise<readonly Sibling[]> {
  if (list?.kind !== 'known' || askedMs === undefined) return [];
  if (deps.monotonicMs() - askedMs < deps.settings.failover_probe_timeout * 1000) return [];
  const silent = siblings.filter((each) => isSilent(each) && each.isPrimaryHost !== true);
  const targets = silent.map(({ target }) => target);
  const { siblings: asked } = await askListed(deps, { ...list, targets });
  return asked.filter((each) => !isSilent(each));
}

/** The same others, with these answers in the place of the first ones. */
export function withAnswers(
  siblings: readonly Sibling[],
  returned: readonly Sibling[] = [],
): readonly Sibling[] {
  return siblings.map((each) => returned.find(({ target }) => target.name === each.target.name) ?? each);
}

async function askListed(deps: StandbyDeps, list: SiblingList): Promise<Others> {
  if (list.kind === 'unknown' || list.targets.length === 0) return { list, siblings: [] };
  const directory = await findDataDirectory(deps);
  const question = directory === undefined ? undefined : await ownQuestion(deps, directory);
  if (question === undefined) return { list, siblings: [] };
  return { list, siblings: await askSiblings(deps, list.archiver, list.targets, question) };
}
