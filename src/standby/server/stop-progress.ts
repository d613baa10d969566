import { readFile } from 'node:fs/promises';
import { serverProcesses } from '../../system/postmaster.ts';
import { titleOf } from '../../system/processes.ts';
import { readControlFile } from './data-directory.ts';

/** A process's title, and how much it has written (proc(5)). */
async function activityOf(pid: number): Promise<string> {
  const title = await titleOf(pid);
  const io = await readFile(`/proc/${pid}/io`, 'utf8').catch(() => '');
  return `${pid} ${title} ${/^wchar: \d+$/m.exec(io)?.[0] ?? ''}`;
}

/**
 * Text that changes while a server gets on with its shutdown. Only from its last checkpoint on does the work of its processes
 * lead to its end: before that, sessions that nobody ends would look like progress.
 */
export async function stopProgress(pgdata: string): Promise<string> {
  const control = await readControlFile(pgdata);
  const state = control?.state ?? 'unknown';
  if (state !== 'shutting-down' && state !== 'shut-down' && state !== 'shut-down-in-recovery') return state;
  const pids = await serverProcesses(pgdata);
  return [state, ...(await Promise.all(pids.map(activityOf)))].join('\n');
}
