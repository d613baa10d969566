import { describeLeft } from '../../postgres/left-timeline.ts';
import type { Sentinel } from '../../system/sentinel.ts';
import { type Delivery, sayHello } from '../delivery/delivery.ts';
import type { OwnPast } from '../delivery/left-guard.ts';
import type { Trouble } from '../delivery/trouble.ts';
import type { ArchiverDeps } from '../deps.ts';
import type { Cluster } from '../wal/cluster.ts';
import { informLeft } from './inform-left.ts';
import type { Lane } from './lane.ts';
import { readOwnPast } from './own-forks.ts';

export type Greeted =
  | { readonly kind: 'ready'; readonly delivery: Delivery; readonly resumeRequest: string | undefined }
  | { readonly kind: 'trouble'; readonly trouble: Trouble };

async function ownPastOf(
  deps: ArchiverDeps,
  cluster: Cluster,
  sentinel: Sentinel,
): Promise<OwnPast | undefined> {
  const past = await readOwnPast(deps, cluster, sentinel);
  if (past === undefined) return undefined;
  const said = new Set<number>();
  const noteSkipped: OwnPast['noteSkipped'] = (name, mark) => {
    if (said.has(mark.timeline)) return;
    said.add(mark.timeline);
    deps.log.notice(
      `${name} and later WAL of its timeline is not delivered: ${describeLeft(mark)}, and this server's own history left it, too`,
    );
  };
  return { ...past, noteSkipped };
}

/**
 * Greets a standby, on a new connection or again. Before anything is delivered it knows the timelines that were left,
 * or the delivery's `concern` says why not. The caller holds the lane's lock. `names` are those of the first batch.
 */
export async function greet(
  deps: ArchiverDeps,
  lane: Lane,
  cluster: Cluster,
  delivery: Delivery,
  names: readonly string[],
): Promise<Greeted> {
  const hello = await sayHello(delivery, names);
  if (hello.trouble !== undefined) return { kind: 'trouble', trouble: hello.trouble };
  const informed = await informLeft(deps, lane, cluster, { ...hello, shell: delivery.shell });
  if (informed.kind === 'trouble') return informed;
  const after = informed.isChanged ? await sayHello(delivery, []) : hello;
  if (after.trouble !== undefined) return { kind: 'trouble', trouble: after.trouble };
  const { directory, sentinel, marks } = after;
  const ownPast = await ownPastOf(deps, cluster, sentinel);
  const { concern } = informed;
  const greeted = { ...delivery, directory, sentinel, marks, ownPast, concern };
  return { kind: 'ready', delivery: greeted, resumeRequest: hello.resumeRequest };
}
