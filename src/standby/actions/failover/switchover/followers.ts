/** The hosts that are to follow this one: what each says itself about that, before anything changes. */
import { messageOf } from '../../../../errors.ts';
import { callVerb } from '../../../../verbs/call.ts';
import type { AnswerOf, ArgumentsOf } from '../../../../verbs/verbs.ts';
import type { StandbyDeps } from '../../../deps.ts';
import type { Peer } from '../../../peers/peer.ts';
import { type Sibling, withSibling } from '../../../siblings/ask.ts';
import type { Others } from '../../../siblings/observe.ts';

type Said = AnswerOf<'try-follow'>;

export interface Follower extends Said {
  /** The old primary's host, or a standby by its name in the INI file. */
  readonly name: string;
}

type Question = ArgumentsOf<'try-follow'>;

const limitMs = 60_000;

function unknown(name: string, reason: string): Follower {
  const message = `whether it can follow is not known: ${reason}`;
  return { name, problems: [{ message }], limits: {} };
}

export async function askOldPrimary(peer: Peer, question: Question): Promise<Follower> {
  try {
    return { name: peer.host, ...(await peer.call('try-follow', question, limitMs)) };
  } catch (error) {
    return unknown(peer.host, messageOf(error));
  }
}

async function askSibling(
  deps: StandbyDeps,
  { list }: Others,
  { target, answer }: Sibling,
  question: Question,
): Promise<readonly Follower[]> {
  // Those that did not answer are an objection of their own.
  if (list?.kind !== 'known' || answer.kind !== 'answered') return [];
  const { name } = target;
  const used = await withSibling(deps, list.archiver, target, limitMs, (shell) =>
    callVerb(shell, answer.command, 'try-follow', question, limitMs),
  );
  if (used.kind !== 'used') return [unknown(name, used.reason)];
  const result = used.value;
  return [result.kind === 'answered' ? { name, ...result.answer } : unknown(name, result.reason)];
}

/** All at once. */
export async function askSiblingsToo(
  deps: StandbyDeps,
  others: Others,
  question: Question,
): Promise<readonly Follower[]> {
  const asked = await Promise.all(
    others.siblings.map((sibling) => askSibling(deps, others, sibling, question)),
  );
  return asked.flat();
}
