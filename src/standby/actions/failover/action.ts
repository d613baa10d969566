import { describeResult, succeeded } from '../../../system/command.ts';
import { changeRecord } from '../../host/backup-record/record.ts';
import { awaitEarlier, runNoted } from './noted-command.ts';
import type { FailoverRun } from './run.ts';

/** A site's script may have to wait until an address has moved, but not forever. */
const noted = { key: 'action_failover', pidName: 'pitrtools-action', limitS: 600 } as const;

export interface SiteAction {
  readonly command: string;
  /** An earlier run began the action, and did not see it succeed. */
  readonly isRepeated: boolean;
}

/**
 * Runs action_failover. A record that it was begun is written before, and removed only when the action has succeeded.
 * Whatever ends this run, the next -F999 runs the action again and says so in its environment.
 */
export async function runAction(run: FailoverRun, { command, isRepeated }: SiteAction): Promise<void> {
  const { deps, pgdata } = run.server;
  const timeline = run.timeline ?? 0;
  await awaitEarlier(deps, noted);
  await changeRecord(pgdata, { isActionBegun: true });
  const result = await runNoted(deps, noted, command, {
    TIMELINE: String(timeline),
    REPEATED: isRepeated ? 'yes' : 'no',
    MESSAGE: `failed over to ${deps.hostName}, timeline ${timeline}`,
  });
  if (!succeeded(result)) run.actionFailure = describeResult(result);
}
