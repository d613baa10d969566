import type { StandbyDeps } from '../deps.ts';
import { notStartedHere } from '../server/local-server.ts';
import { perform } from '../steps/carry-out.ts';
import { type FollowRequest, observeOwn, toward } from './facts.ts';
import { withHost } from './host.ts';
import { planFollow } from './plan.ts';
import type { Followed } from './see-it-follow.ts';
import { type FollowContext, followSteps } from './steps.ts';
import { describeUnknownWal, observeWalFor } from './wal-to-come.ts';

/**
 * Makes the server here follow another one, and sees it follow.
 *
 * @returns undefined for a dry run
 */
export async function followHost(
  deps: StandbyDeps,
  request: FollowRequest,
  { dryRun }: { readonly dryRun: boolean },
): Promise<Followed | undefined> {
  const { address } = request;
  const own = await observeOwn(deps, address);
  return withHost(toward(deps, address), async (answer) => {
    const walToCome = await observeWalFor(deps, own, answer, address);
    const steps = planFollow({ ...own, request, answer, walToCome }, deps.iniFile);
    if (answer.kind === 'silent') throw answer.error;
    if (walToCome.kind === 'unknown') deps.report(describeUnknownWal(walToCome.reason));
    const { server } = own;
    const context: FollowContext = { deps, server, started: notStartedHere, host: answer.host, address };
    await perform(deps, { dryRun }, steps, followSteps, context);
    return context.followed;
  });
}
