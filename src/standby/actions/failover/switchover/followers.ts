/** The hosts that are to follow this one: what each says itself about that, before anything changes. */
import { messageOf } from '../../../../errors.ts';
import { keyOptions, type Served } from '../../../../system/served.ts';
import { callVerb } from '../../../../verbs/call.ts';
import type { AnswerOf, ArgumentsOf } from '../../../../verbs/verbs.ts';
import type { StandbyDeps } from '../../../deps.ts';
import type { Peer } from '../../../peers/peer.ts';
import { isStopped, type Sibling, withSibling } from '../../../siblings/ask.ts';
import type { Others } from '../../../siblings/observe.ts';

type Said = AnswerOf<'try-follow'>;

export interface Follower extends Said {
  /** The old primary's host, or a standby by its name in the INI file. */
  readonly name: string;
  /** It is stopped now, and stays that. */
  readonly isLeftStopped?: boolean;
}

type Question = ArgumentsOf<'try-follow'>;

const limitMs = 60_000;

function unknown(name: string, reason: string): Follower {
  const message = `whether it can follow is not known: ${reason}`;
  return { name, problems: [{ message }], limits: {} };
}

/** A restricted key that shows whether a host can follow is perhaps not enough to make it follow. */
function withKey(follower: Follower, served: Served | undefined): Follower {
  if (served === undefined || served.roles) return follower;
  const problem = {
    message: 'the key of this host is restricted there, and cannot change roles',
    hint: `put this before it in authorized_keys: ${keyOptions(served, true)}`,
  };
  return { ...follower, problems: [...follower.problems, problem] };
}

export async function askOldPrimary(peer: Peer, question: Question): Promise<Follower> {
  try {
    const said = await peer.call('try-follow', question, limitMs);
    return withKey({ name: peer.host, ...said }, peer.shell?.served);
  } catch (error) {
    return unknown(peer.host, messageOf(error));
  }
}

async function askSibling(
  deps: StandbyDeps,
  { list }: Others,
  sibling: Sibling,
  question: Question,
): Promise<readonly Follower[]> {
  const { target, answer } = sibling;
  // Those that did not answer are an objection of their own.
  if (list?.kind !== 'known' || answer.kind !== 'answered') return [];
  const { name } = target;
  const used = await withSibling(deps, list.archiver, target, limitMs, async (shell) => {
    const result = await callVerb(shell, answer.command, 'try-follow', question, limitMs);
    if (result.kind !== 'answered') return unknown(name, result.reason);
    return withKey({ name, ...result.answer, isLeftStopped: isStopped(sibling) }, shell.served);
  });
  return [used.kind === 'used' ? used.value : unknown(name, used.reason)];
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
