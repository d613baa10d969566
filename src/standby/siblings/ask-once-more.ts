import type { ArchiverSettings, StandbyTarget } from '../../config/options-archiver.ts';
import type { TimelinePath } from '../../postgres/timelines.ts';
import { quoted } from '../../system/printable.ts';
import type { StandbyCommand } from '../../system/sentinel.ts';
import { callVerb, type VerbResult } from '../../verbs/call.ts';
import type { AnswerOf } from '../../verbs/verbs.ts';
import type { StandbyDeps } from '../deps.ts';
import { comesTrue } from '../server/wait.ts';
import { type Sibling, withSibling } from './ask.ts';
import { type Rival, rivalOf, rivalryOf } from './rivals.ts';

/** A standby that can be asked again, and how its cmd_standby is called. */
interface Asked {
  readonly target: StandbyTarget;
  readonly command: StandbyCommand;
}

async function askStatus(
  deps: StandbyDeps,
  archiver: ArchiverSettings,
  { target, command }: Asked,
): Promise<VerbResult<'status'>> {
  const limitMs = deps.settings.failover_probe_timeout * 1000;
  const used = await withSibling(deps, archiver, target, limitMs, (shell) =>
    callVerb(shell, command, 'status', {}, limitMs),
  );
  return used.kind === 'used' ? used.value : { kind: 'lost', reason: used.reason };
}

function rivalIn(
  { target }: Asked,
  said: AnswerOf<'status'>,
  path: TimelinePath | undefined,
): Rival | undefined {
  const rivalry = rivalryOf(said, path);
  return rivalry === undefined ? undefined : rivalOf(target, rivalry, said);
}

/** Both of two runs that see each other know which one gives way. */
function givesWayTo(run: string, rival: Rival): boolean {
  return rival.target === undefined || rival.rivalry.kind !== 'being-promoted' || rival.rivalry.run >= run;
}

/**
 * Asks those that have answered before whether they were promoted meanwhile, or are about to be. This host's own record
 * says by now that it is: a run that asks later sees that, and one that asked before is seen here. A host that promotes
 * its server may be slow to answer, so silence does not mean that it has given way.
 *
 * @param run names this run, as in the record
 */
export async function askOnceMore(
  deps: StandbyDeps,
  archiver: ArchiverSettings,
  siblings: readonly Sibling[],
  { path, run }: { readonly path: TimelinePath | undefined; readonly run: string },
): Promise<readonly Rival[]> {
  // One that is silent would only hold this up again: if its silence is old, the caller has asked it anew.
  const all = siblings.flatMap(({ target, answer }): readonly Asked[] =>
    answer.kind === 'answered' ? [{ target, command: answer.command }] : [],
  );
  const lastAnswers = new Map<Asked, Rival | undefined>();
  const ask = async (those: readonly Asked[], onSilence: (name: string, reason: string) => void) => {
    await Promise.all(
      those.map(async (each) => {
        const result = await askStatus(deps, archiver, each);
        if (result.kind === 'answered') lastAnswers.set(each, rivalIn(each, result.answer, path));
        else onSilence(each.target.name, quoted(result.reason));
      }),
    );
  };
  const rivals = () => [...lastAnswers.values()].filter((rival) => rival !== undefined);
  const givesWay = () => rivals().some((rival) => givesWayTo(run, rival));

  await ask(all, (name, reason) => {
    deps.log.notice(`standby ${name} did not answer the second time (${reason}): asking it again`);
  });
  if (givesWay()) return rivals();
  const silent = all.filter((each) => !lastAnswers.has(each));
  await ask(silent, (name, reason) => {
    deps.log.warning(
      `standby ${name} does not answer any more (${reason}): whether it was promoted meanwhile is unknown`,
    );
  });
  if (rivals().length === 0 || givesWay()) return rivals();
  deps.log.notice('another standby is being promoted, too: waiting until that run has given way');
  await comesTrue(deps, deps.settings.failover_probe_timeout, async () => {
    await ask(all, (name, reason) => {
      deps.log.debug(`standby ${name} does not answer (${reason}): its last answer counts`);
    });
    return rivals().length === 0 || givesWay();
  });
  return rivals();
}
