import { readFileSync } from 'node:fs';
import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { systemErrorCode } from './durable.ts';

/** A process that has ended but was not waited for yet: it does nothing any more. */
function isZombie(pid: number): boolean {
  try {
    // The state follows the name in parentheses; the name may contain any character (proc(5)).
    return /\) [ZX] [^)]*$/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

/** Whether a process runs. Another user's process counts: the refusal to signal it proves that it exists. */
export function isProcessAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return systemErrorCode(error) === 'EPERM';
  }
  return !isZombie(pid);
}

/** When a process began, as the kernel counts: with its pid it names one process. Undefined if it has ended. */
export function startOf(pid: number): string | undefined {
  try {
    // Field 22; the fields are counted from the state, the third one, because a name may contain spaces.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

/** A directory as the kernel identifies it, whatever path leads there. */
interface Identity {
  readonly dev: bigint;
  readonly ino: bigint;
}

async function identityOf(path: string): Promise<Identity | undefined> {
  return stat(path, { bigint: true }).catch(() => undefined);
}

/** Whether two paths lead to the same directory, through a link or a bind mount as well. */
export async function isSameDirectory(one: string, other: string): Promise<boolean> {
  const [first, second] = await Promise.all([identityOf(one), identityOf(other)]);
  return first !== undefined && first.dev === second?.dev && first.ino === second.ino;
}

/**
 * Compares the working directory of a process with a directory: by device and inode, in whatever mount namespace the
 * process lives. The text of /proc/PID/cwd is a path of that namespace, which in ours means nothing or another
 * directory.
 */
export type WorksThere =
  | 'there'
  | 'elsewhere'
  /** The process exists, but the kernel does not let us look into it. */
  | 'hidden'
  | 'gone';

export async function worksIn(pid: number, directory: string): Promise<WorksThere> {
  let cwd: Identity;
  try {
    cwd = await stat(`/proc/${pid}/cwd/.`, { bigint: true });
  } catch (error) {
    // A process that is ending loses its working directory before its state says so. With hidepid, all of it is missing.
    if (systemErrorCode(error) === 'ENOENT' && startOf(pid) !== undefined) return 'gone';
    return isProcessAlive(pid) ? 'hidden' : 'gone';
  }
  const wanted = await identityOf(directory);
  return wanted?.dev === cwd.dev && wanted.ino === cwd.ino ? 'there' : 'elsewhere';
}

/** The name of a process's program. */
export async function programOf(pid: number): Promise<string> {
  const exe = await readlink(`/proc/${pid}/exe`).catch(() => undefined);
  if (exe !== undefined) return basename(exe.replace(/ \(deleted\)$/, ''));
  return (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')).trim();
}

/** The text that a process shows in the process list. */
export async function titleOf(pid: number): Promise<string> {
  const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return line.replaceAll('\0', ' ').trim();
}

/** Processes of this host that have `directory` as their working directory. */
export async function pidsWorkingIn(directory: string): Promise<readonly number[]> {
  const wanted = await identityOf(directory);
  if (wanted === undefined) return [];
  const found: number[] = [];
  for (const entry of await readdir('/proc').catch(() => [])) {
    if (!/^\d+$/.test(entry)) continue;
    const cwd = await identityOf(`/proc/${entry}/cwd/.`);
    if (cwd?.dev === wanted.dev && cwd.ino === wanted.ino) found.push(Number(entry));
  }
  return found;
}

/** The owner of a process or a file; undefined if it is gone. */
export async function ownerOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ uid }) => uid,
    () => undefined,
  );
}

/** The fields of proc(5) from the third one on: the second one, a name, may contain any character. */
async function fieldsOf(pid: number): Promise<readonly string[]> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return text.slice(text.lastIndexOf(')') + 2).split(' ');
}

/** The processes that these have started, and those that were started by them; not the given ones themselves. */
export async function descendantsOf(roots: readonly number[]): Promise<readonly number[]> {
  const children = new Map<number, number[]>();
  for (const entry of await readdir('/proc').catch(() => [])) {
    if (!/^\d+$/.test(entry)) continue;
    const parent = Number((await fieldsOf(Number(entry)))[1]);
    children.set(parent, [...(children.get(parent) ?? []), Number(entry)]);
  }
  const found = new Set<number>();
  const add = (pid: number): void => {
    for (const child of children.get(pid) ?? []) {
      if (found.has(child)) continue;
      found.add(child);
      add(child);
    }
  };
  roots.forEach(add);
  return [...found];
}

/** Whether the process's session is that of a person at a terminal. */
export async function hasTerminal(pid: number): Promise<boolean> {
  return Number((await fieldsOf(pid))[4] ?? 0) !== 0;
}
