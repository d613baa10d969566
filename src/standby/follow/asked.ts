/** The verbs by which another host has this one follow a server. */
import { refusal } from '../../errors.ts';
import { formatLsn } from '../../postgres/lsn.ts';
import type { AnswerOf, ArgumentsOf } from '../../verbs/verbs.ts';
import type { StandbyDeps } from '../deps.ts';
import { withActionLock } from '../host/action-lock.ts';
import { noteFollowed } from '../host/history.ts';
import { followHost } from './follow.ts';

async function followFor(
  deps: StandbyDeps,
  { host, port, cluster, timeline }: ArgumentsOf<'follow'>,
  mayBePrimary: boolean,
): Promise<AnswerOf<'follow'>> {
  const request = { address: { host, port }, expected: { cluster, timeline }, mayBePrimary };
  const followed = await withActionLock(deps, (locked) => followHost(locked, request, { dryRun: false }));
  if (followed === undefined) throw refusal('nothing was followed');
  await noteFollowed(deps, followed, host, true);
  return { ...followed, lsn: formatLsn(followed.lsn) };
}

export async function followAsked(
  deps: StandbyDeps,
  args: ArgumentsOf<'follow'>,
): Promise<AnswerOf<'follow'>> {
  return followFor(deps, args, false);
}

export async function becomeStandby(
  deps: StandbyDeps,
  args: ArgumentsOf<'become-standby'>,
): Promise<AnswerOf<'become-standby'>> {
  return followFor(deps, args, true);
}
