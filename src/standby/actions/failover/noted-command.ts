import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PitrError } from '../../../errors.ts';
import type { CommandResult } from '../../../system/command.ts';
import { readIfExists, removeDurably, systemErrorCode } from '../../../system/durable.ts';
import { isProcessAlive } from '../../../system/processes.ts';
import { promotingAction, type StandbyDeps } from '../../deps.ts';
import { runSiteCommand } from '../../server/shell-command.ts';
import { comesTrue } from '../../server/wait.ts';

/** A command of the site's that must not run twice at the same time. It outlives a cmd_standby that is killed. */
interface NotedCommand {
  readonly key: 'action_failover' | 'action_fence';
  /** The file in pgdata that has its pid while it runs. */
  readonly pidName: string;
  readonly limitS: number;
}

/** A process that we cannot inspect (the command changed its user) counts, because two must never run at once. */
async function isOurs(pid: number, pgdata: string): Promise<boolean> {
  if (!isProcessAlive(pid)) return false;
  try {
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8');
    return environment.split('\0').includes(`PITRTOOLS_PGDATA=${pgdata}`);
  } catch (error) {
    return systemErrorCode(error) !== 'ENOENT' && systemErrorCode(error) !== 'ESRCH';
  }
}

/** The pid of the command that was begun; undefined if there is none, or if this host was started again since. */
async function notedPid(path: string): Promise<number | undefined> {
  const text = (await readIfExists(path))?.toString('utf8').trim() ?? '';
  const [pid, boot] = text.split(/\s+/);
  const now = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => undefined);
  if (boot !== undefined && now !== undefined && boot !== now.trim()) return undefined;
  const number = Number(pid);
  return Number.isSafeInteger(number) && number > 0 ? number : undefined;
}

/** Two commands that run at once could undo each other, so we wait for one that an earlier run left behind. */
export async function awaitEarlier(deps: StandbyDeps, { key, pidName, limitS }: NotedCommand): Promise<void> {
  const { pgdata } = deps.settings;
  const pid = await notedPid(join(pgdata, pidName));
  if (pid === undefined || !(await isOurs(pid, pgdata))) return;
  deps.log.notice(`${key} of an earlier run still runs (pid ${pid}): waiting for its end`);
  if (await comesTrue(deps, limitS, async () => !(await isOurs(pid, pgdata)))) return;
  throw new PitrError(`${key} of an earlier run does not end (pid ${pid})`, {
    hint: `Find out what it waits for, end it (kill ${pid}), and run ${promotingAction(deps)} again.`,
  });
}

/** @param facts the variables of its environment, without `PITRTOOLS_`; the message is also its argument */
export async function runNoted(
  deps: StandbyDeps,
  { pidName, limitS }: NotedCommand,
  command: string,
  facts: Readonly<Record<string, string>> & { readonly MESSAGE: string },
): Promise<CommandResult> {
  const { pgdata, archivedir, master_public_ip } = deps.settings;
  const all = {
    PROGRAM: 'cmd_standby',
    STANDBY: deps.hostName,
    PRIMARY: master_public_ip,
    PGDATA: pgdata,
    ARCHIVEDIR: archivedir,
    ...facts,
  };
  const env = Object.fromEntries(Object.entries(all).map(([name, value]) => [`PITRTOOLS_${name}`, value]));
  const pidFile = join(pgdata, pidName);
  const result = await runSiteCommand(deps, command, limitS * 1000, { env, args: [facts.MESSAGE], pidFile });
  await removeDurably(pidFile);
  return result;
}
