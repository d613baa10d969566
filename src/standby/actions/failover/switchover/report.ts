import { exitCodes } from '../../../../errors.ts';
import { notePromotion } from '../../../host/history.ts';
import { beginningOf } from '../all-replayed.ts';
import { describeRole } from '../sibling-words.ts';
import type { Moments, SwitchoverRun } from './run.ts';
import { describeTurned } from './turn.ts';

function seconds(fromMs: number, toMs: number): string {
  return `${((toMs - fromMs) / 1000).toFixed(1)} s`;
}

/** How long nobody took writes, and why; undefined if an earlier run has stopped or promoted. */
export function describeOutage({ stopping, stopped, replayed, open }: Moments): string | undefined {
  if (stopping === undefined || stopped === undefined || replayed === undefined || open === undefined)
    return undefined;
  return `Nobody took writes for ${seconds(stopping, open)}: the stop took ${seconds(stopping, stopped)}, the last WAL ${seconds(stopped, replayed)}, the promotion ${seconds(replayed, open)}`;
}

/** Reports the state of both servers, and the next tasks. Returns the exit code. */
export async function reportSwitchover(run: SwitchoverRun): Promise<number> {
  const { server, timeline, actionFailure, moments, shutdown, left, informed, turned, remaining } = run;
  const { deps } = server;
  await notePromotion(deps, 'switchover', run.peer.host, timeline);
  const openedAt = timeline === undefined ? undefined : await beginningOf(server, timeline);
  const where = openedAt === undefined ? '' : `, which begins at ${openedAt}`;
  deps.report(
    `This server is the primary now${timeline === undefined ? '' : `, on timeline ${timeline}`}${where}`,
  );
  if (shutdown !== undefined)
    deps.report(`All WAL of the old primary was replayed, to the end of its shutdown at LSN ${shutdown.end}`);
  const outage = describeOutage(moments);
  if (outage !== undefined) deps.report(outage);
  const role = { role: { kind: 'taken' }, left, informed } as const;
  if (left !== undefined) for (const line of describeRole(role)) deps.report(line);
  for (const each of turned) deps.report(describeTurned(each));
  for (const { message, hint } of remaining) deps.log.warning(message, { hint });
  const behind = turned.filter(({ result }) => result.kind === 'failed').map(({ name }) => name);
  if (behind.length > 0) {
    deps.log.error(
      `this server is the primary now, but these hosts do not follow it yet: ${behind.join(', ')}`,
      {
        hint: 'Correct the reason, then run --switchover again: it asks them again.',
      },
    );
    return exitCodes.failure;
  }
  if (actionFailure === undefined) {
    deps.report('Switchover finished');
    return 0;
  }
  deps.log.error(`the switchover has happened, but action_failover failed: ${actionFailure}`, {
    hint: 'Correct its problem, then run --switchover again: it runs only the script, with PITRTOOLS_REPEATED=yes.',
  });
  return exitCodes.actionFailed;
}
