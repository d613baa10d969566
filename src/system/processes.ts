import { readFileSync } from 'node:fs';
import { readdir, readFile, readlink, realpath } from 'node:fs/promises';
import { basename } from 'node:path';
import { systemErrorCode } from './durable.ts';

/** A process that ended but was not yet waited for: it does nothing any more. */
function isZombie(pid: number): boolean {
  try {
    // The state follows the name in parentheses, which may itself hold any character (proc(5)).
    return /\) [ZX] [^)]*$/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

/** Whether a process runs. One of another user's counts: that it may not be signalled proves that it is there. */
export function isProcessAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return systemErrorCode(error) === 'EPERM';
  }
  return !isZombie(pid);
}

/** The working directory of a process, or undefined when we may not know it or it is gone. */
export async function workingDirectoryOf(pid: number): Promise<string | undefined> {
  return readlink(`/proc/${pid}/cwd`).catch(() => undefined);
}

async function nameOf(pid: number): Promise<string> {
  const exe = await readlink(`/proc/${pid}/exe`).catch(() => undefined);
  if (exe !== undefined) return basename(exe.replace(/ \(deleted\)$/, ''));
  return (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')).trim();
}

/**
 * Processes of these program names that have `directory` as their working directory. PostgreSQL's all sit in the data
 * directory, so this finds backends that outlived a killed postmaster, which the pid file does not show.
 */
export async function processesWorkingIn(
  directory: string,
  names: readonly string[],
): Promise<readonly number[]> {
  const wanted = await realpath(directory).catch(() => undefined);
  if (wanted === undefined) return [];
  const found: number[] = [];
  for (const entry of await readdir('/proc').catch(() => [])) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || (await workingDirectoryOf(pid)) !== wanted) continue;
    if (names.includes(await nameOf(pid))) found.push(pid);
  }
  return found;
}
