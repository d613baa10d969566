import type { ArchiverSettings } from '../../config/options-archiver.ts';
import type { TimelinePath } from '../../postgres/timelines.ts';
import { quoted } from '../../system/printable.ts';
import { callVerb } from '../../verbs/call.ts';
import type { StandbyDeps } from '../deps.ts';
import { comesTrue } from '../server/wait.ts';
import { type Sibling, withSibling } from './ask.ts';
import { type Rival, rivalryOf } from './rivals.ts';

async function askOne(
  deps: StandbyDeps,
  archiver: ArchiverSettings,
  { target, answer }: Sibling,
  path: TimelinePath | undefined,
): Promise<readonly Rival[]> {
  // One that was silent would only hold this up again.
  if (answer.kind !== 'answered') return [];
  const limitMs = deps.settings.failover_probe_timeout * 1000;
  const used = await withSibling(deps, archiver, target, limitMs, (shell) =>
    callVerb(shell, answer.command, 'status', {}, limitMs),
  );
  const result = used.kind === 'used' ? used.value : { kind: 'lost' as const, reason: used.reason };
  if (result.kind !== 'answered') {
    deps.log.warning(`standby ${target.name} did not answer the second time (${quoted(result.reason)})`);
    return [];
  }
  const rivalry = rivalryOf(result.answer, path);
  return rivalry === undefined ? [] : [{ target, rivalry }];
}

/** Both of two runs that see each other know which one gives way. */
function givesWayTo(run: string, rival: Rival): boolean {
  return rival.target === undefined || rival.rivalry.kind !== 'being-promoted' || rival.rivalry.run >= run;
}

/**
 * Asks those that have answered before whether they were promoted meanwhile, or are about to be. This host's own record
 * says by now that it is: a run that asks later sees that, and one that asked before is seen here.
 *
 * @param run names this run, as in the record
 */
export async function askOnceMore(
  deps: StandbyDeps,
  archiver: ArchiverSettings,
  siblings: readonly Sibling[],
  { path, run }: { readonly path: TimelinePath | undefined; readonly run: string },
): Promise<readonly Rival[]> {
  const askAll = async () =>
    (await Promise.all(siblings.map((sibling) => askOne(deps, archiver, sibling, path)))).flat();
  let rivals = await askAll();
  if (rivals.length === 0 || rivals.some((rival) => givesWayTo(run, rival))) return rivals;
  deps.log.notice('another -F999 runs: waiting until it has given way');
  await comesTrue(deps, deps.settings.failover_probe_timeout, async () => {
    rivals = await askAll();
    return rivals.length === 0 || rivals.some((rival) => givesWayTo(run, rival));
  });
  return rivals;
}
