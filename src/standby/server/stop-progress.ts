import { readFile } from 'node:fs/promises';
import type { ClusterState } from '../../postgres/control-file.ts';
import { serverProcesses } from '../../system/postmaster.ts';
import { titleOf } from '../../system/processes.ts';
import { readControlFile } from './data-directory.ts';

/** One process of a server, as /proc shows it. */
export interface Working {
  readonly pid: number;
  readonly title: string;
  /** The number of bytes that it has written (proc(5)); undefined where that cannot be read. */
  readonly written: number | undefined;
}

/** The title of the process that writes the last checkpoint, up to 9.1 the background writer's. */
const checkpointer = /^postgres: (?:.*: )?(?:checkpointer|writer)(?: process)?\s*$/;

/**
 * The processes whose writes show that the last checkpoint makes progress. Before it, sessions that never end would look like
 * progress. A standby's control file does not show its last restartpoint; by then its startup process has ended.
 */
export function writersOf(state: ClusterState, processes: readonly Working[]): readonly Working[] {
  if (state !== 'in-archive-recovery') return processes;
  if (processes.some(({ title }) => /\bstartup\b/.test(title))) return [];
  return processes.filter(({ title }) => checkpointer.test(title));
}

const statesAtTheEnd: readonly ClusterState[] = [
  'shutting-down',
  'shut-down',
  'shut-down-in-recovery',
  'in-archive-recovery',
];

async function workingAs(pid: number): Promise<Working> {
  const title = await titleOf(pid);
  const io = await readFile(`/proc/${pid}/io`, 'utf8').catch(() => '');
  const written = /^wchar: (\d+)$/m.exec(io)?.[1];
  return { pid, title, written: written === undefined ? undefined : Number(written) };
}

/** Text that changes as long as a shutdown makes progress. */
export async function stopProgress(pgdata: string): Promise<string> {
  const state = (await readControlFile(pgdata))?.state ?? 'unknown';
  if (!statesAtTheEnd.includes(state)) return state;
  const processes = await Promise.all((await serverProcesses(pgdata)).map(workingAs));
  const shown = writersOf(state, processes).map(
    ({ pid, title, written }) => `${pid} ${title} ${written ?? ''}`,
  );
  return [state, ...shown].join('\n');
}
