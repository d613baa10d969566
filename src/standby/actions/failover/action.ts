import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PitrError } from '../../../errors.ts';
import { describeResult, succeeded } from '../../../system/command.ts';
import { readIfExists, removeDurably, systemErrorCode } from '../../../system/durable.ts';
import { isProcessAlive } from '../../../system/processes.ts';
import type { StandbyDeps } from '../../deps.ts';
import { changeRecord } from '../../host/backup-record/record.ts';
import { runSiteCommand } from '../../server/shell-command.ts';
import { comesTrue } from '../../server/wait.ts';
import type { FailoverRun } from './run.ts';

/** A site's script may have to wait until an address has moved, but not forever. */
const actionLimitS = 600;

/** The pid of action_failover while it runs: it outlives a cmd_standby that is killed. */
const pidName = 'pitrtools-action';

/** A process that we cannot inspect (the action changed its user) counts, because two actions must never run at once. */
async function isActionOf(pid: number, pgdata: string): Promise<boolean> {
  if (!isProcessAlive(pid)) return false;
  try {
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8');
    return environment.split('\0').includes(`PITRTOOLS_PGDATA=${pgdata}`);
  } catch (error) {
    return systemErrorCode(error) !== 'ENOENT' && systemErrorCode(error) !== 'ESRCH';
  }
}

/** Two actions that run at once could undo each other, so we wait for one that an earlier run left behind. */
async function awaitEarlier(deps: StandbyDeps): Promise<void> {
  const { pgdata } = deps.settings;
  const text = await readIfExists(join(pgdata, pidName));
  const pid = Number(text?.toString('utf8').trim());
  if (!Number.isSafeInteger(pid) || pid <= 0 || !(await isActionOf(pid, pgdata))) return;
  deps.log.notice(`action_failover of an earlier run still runs (pid ${pid}): waiting for its end`);
  if (await comesTrue(deps, actionLimitS, async () => !(await isActionOf(pid, pgdata)))) return;
  throw new PitrError(`action_failover of an earlier run does not end (pid ${pid})`, {
    hint: `Find out what it waits for, end it (kill ${pid}), and run -F999 again.`,
  });
}

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
  await awaitEarlier(deps);
  await changeRecord(pgdata, { isActionBegun: true });
  const message = `failed over to ${deps.hostName}, timeline ${timeline}`;
  const env = {
    PITRTOOLS_PROGRAM: 'cmd_standby',
    PITRTOOLS_STANDBY: deps.hostName,
    PITRTOOLS_PRIMARY: deps.settings.master_public_ip,
    PITRTOOLS_PGDATA: pgdata,
    PITRTOOLS_ARCHIVEDIR: deps.settings.archivedir,
    PITRTOOLS_TIMELINE: String(timeline),
    PITRTOOLS_REPEATED: isRepeated ? 'yes' : 'no',
    PITRTOOLS_MESSAGE: message,
  };
  const pidFile = join(pgdata, pidName);
  const result = await runSiteCommand(deps, command, actionLimitS * 1000, { env, args: [message], pidFile });
  if (!succeeded(result)) run.actionFailure = describeResult(result);
  await removeDurably(pidFile);
}
