import { exitCodes } from '../../../errors.ts';
import { beginningOf } from './all-replayed.ts';
import type { FailoverFacts } from './facts.ts';
import { describeOutcome } from './outcome.ts';
import type { Role } from './role.ts';
import type { FailoverRun } from './run.ts';

/**
 * Reports the state of this server, the data that may be missing, and the next tasks. Returns the exit code.
 *
 * @param role undefined if an earlier run has told the other standbys
 */
export async function reportFailover(
  run: FailoverRun,
  { liveness, siblings }: Pick<FailoverFacts, 'liveness' | 'siblings'>,
  role: Role | undefined,
): Promise<number> {
  const { server, timeline, actionFailure } = run;
  const { deps } = server;
  const openedAt = timeline === undefined ? undefined : await beginningOf(server, timeline);
  const { left, told } = run;
  const others = role === undefined ? undefined : { siblings, role: { role, left, told } };
  for (const line of describeOutcome({ ...run, openedAt, liveness, others, hostName: deps.hostName }))
    deps.report(line);
  deps.log.notice('Statistics are not replicated in warm standy mode.');
  deps.report('HINT: Execute ANALYZE on your databases');
  deps.report('Failover finished');
  if (actionFailure === undefined) return 0;
  deps.log.error(`the failover has happened, but action_failover failed: ${actionFailure}`, {
    hint: 'Correct its problem, then run -F999 again: it runs only the script, with PITRTOOLS_REPEATED=yes.',
  });
  return exitCodes.actionFailed;
}
