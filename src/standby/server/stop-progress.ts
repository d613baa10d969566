import { readFile } from 'node:fs/promises';
import { serverProcesses } from '../../system/postmaster.ts';
import { titleOf } from '../../system/processes.ts';
import { readControlFile } from './data-directory.ts';

/** A process's title, and the number of bytes that it has written (proc(5)). */
async function activityOf(pid: number): Promise<string> {
  const title = await titleOf(pid);
  const io = await readFile(`/proc/${pid}/io`, 'utf8').catch(() => '');
  return `${pid} ${title} ${/^wchar: \d+$/m.exec(io)?.[0] ?? ''}`;
}

/**
 * Text that changes as long as a shutdown makes progress. Only after the server has begun its last checkpoint do the
 * writes of its processes count as progress. Before that, sessions that never end would look like progress.
 */
export async function stopProgress(pgdata: string): Promise<string> {
  const control = await readControlFile(pgdata);
  const state = control?.state ?? 'unknown';
  if (state !== 'shutting-down' && state !== 'shut-down' && state !== 'shut-down-in-recovery') return state;
  const pids = await serverProcesses(pgdata);
  return [state, ...(await Promise.all(pids.map(activityOf)))].join('\n');
}
