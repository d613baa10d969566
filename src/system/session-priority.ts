/**
 * The priority of a session. Linux divides the processor among sessions first, if it groups processes by them (sched(7),
 * "The autogroup feature", which most distributions turn on): niceness then counts only among the processes of one session,
 * and the session has a niceness of its own, in /proc/PID/autogroup. It does not count in a control group with a weight of
 * its own for the processor.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { systemErrorCode } from './durable.ts';

function pathOf(pid: number): string {
  return `/proc/${pid}/autogroup`;
}

/** The niceness of the session of a process; undefined if the kernel has none, or if the process has ended. */
export async function sessionNiceness(pid: number): Promise<number | undefined> {
  const text = await readFile(pathOf(pid), 'utf8').catch(() => '');
  const found = /nice (-?\d+)\s*$/.exec(text)?.[1];
  return found === undefined ? undefined : Number(found);
}

/** Without privileges it can be set ten times a second, by all users together. */
const againMs = 110;
const attempts = 20;

/** Never fails: a session whose process has ended, or of another user, stays as it is. */
export async function setSessionNiceness(
  { pause }: { readonly pause: (ms: number) => Promise<void> },
  pid: number,
  niceness: number,
): Promise<void> {
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const code = await writeFile(pathOf(pid), String(niceness), { flag: 'r+' }).then(
      () => undefined,
      (error: unknown) => systemErrorCode(error),
    );
    if (code !== 'EAGAIN') return;
    await pause(againMs);
  }
}

/** The same by the first command of a session. */
export function sessionWords(niceness: number): readonly string[] {
  if (niceness === 0) return [];
  const script = '{ echo "$0" >/proc/self/autogroup; } 2>/dev/null; exec "$@"';
  return ['sh', '-c', script, String(niceness)];
}
