import { PitrError } from '../../errors.ts';
import { describeLeft } from '../../postgres/left-timeline.ts';
import { type Delivery, type Hello, sayHello } from '../delivery/delivery.ts';
import type { OwnPast } from '../delivery/left-guard.ts';
import type { Trouble } from '../delivery/trouble.ts';
import type { ArchiverDeps } from '../deps.ts';
import type { Cluster } from '../wal/cluster.ts';
import { informLeft } from './inform-left.ts';
import type { Lane } from './lane.ts';
import { undecidedOf } from './left-state.ts';
import { type OwnLeft, readOwnLeft } from './own-forks.ts';
import { divergence, longQuestionMs } from './standing.ts';

export type Greeted =
  | { readonly kind: 'ready'; readonly delivery: Delivery; readonly resumeRequest: string | undefined }
  | { readonly kind: 'trouble'; readonly trouble: Trouble };

function ownPastOf(deps: ArchiverDeps, own: OwnLeft | undefined): OwnPast | undefined {
  if (own === undefined) return undefined;
  const said = new Set<number>();
  const noteSkipped: OwnPast['noteSkipped'] = (name, mark) => {
    if (said.has(mark.timeline)) return;
    said.add(mark.timeline);
    deps.log.notice(
      `${name} and later WAL of its timeline is not delivered: ${describeLeft(mark)}, and this server's own history left it, too`,
    );
  };
  return { ...own, noteSkipped };
}

/** Informs it of what it must know before anything is delivered. */
async function informed(
  deps: ArchiverDeps,
  lane: Lane,
  cluster: Cluster,
  delivery: Delivery,
  hello: Hello,
  limitMs: number,
): Promise<Greeted> {
  const own = await readOwnLeft(deps, cluster, hello.sentinel);
  const { isChanged, concern } = await informLeft(
    deps,
    lane,
    cluster,
    { ...hello, shell: delivery.shell },
    own,
    limitMs,
  );
  const after = isChanged ? await sayHello(delivery, []) : hello;
  if (after.trouble !== undefined) return { kind: 'trouble', trouble: after.trouble };
  const { directory, sentinel, marks, takesSegments, unpacks } = after;
  // Others may have informed it meanwhile.
  const ownPast = ownPastOf(deps, own ?? (await readOwnLeft(deps, cluster, sentinel)));
  const declared = own?.declared ?? [];
  const greeted = {
    ...delivery,
    directory,
    sentinel,
    marks,
    takesSegments,
    unpacks,
    ownPast,
    concern: (await divergence(lane, declared)) ?? concern,
    undecided: await undecidedOf(lane, declared),
  };
  return { kind: 'ready', delivery: greeted, resumeRequest: hello.resumeRequest };
}

/**
 * Greets a standby, on a new connection or again. Before anything is delivered it knows the timelines that were left,
 * or the delivery's `concern` says why not. The caller holds the lane's lock. `names` are those of the first batch;
 * `limitMs` is for the questions to its cmd_standby.
 */
export async function greet(
  deps: ArchiverDeps,
  lane: Lane,
  cluster: Cluster,
  delivery: Delivery,
  names: readonly string[],
  limitMs = Math.max(longQuestionMs, lane.standby.ssh_timeout * 1000),
): Promise<Greeted> {
  const hello = await sayHello(delivery, names);
  if (hello.trouble !== undefined) return { kind: 'trouble', trouble: hello.trouble };
  try {
    return await informed(deps, lane, cluster, delivery, hello, limitMs);
  } catch (error) {
    if (!(error instanceof PitrError)) throw error;
    const { message, hint } = error;
    return { kind: 'trouble', trouble: { kind: 'misconfigured', reason: message, hint } };
  }
}
