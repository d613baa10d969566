import { spawn } from 'node:child_process';
import { open, rename, stat } from 'node:fs/promises';
import type { CommandLine } from './command.ts';

/** A log that nobody rotates is put aside at this size; one older is kept. */
const longestLogBytes = 1024 * 1024;

async function putAside(log: string): Promise<void> {
  const size = await stat(log).then(
    (found) => found.size,
    () => 0,
  );
  if (size > longestLogBytes) await rename(log, `${log}.1`);
}

/**
 * Starts a program in a session of its own that outlives us: nothing of ours stays open in it, so that nobody who waits for
 * the end of our output waits for it.
 *
 * @returns whether it could be started; what becomes of it then is its own affair
 */
export async function startDetached({ program, args }: CommandLine, log: string): Promise<boolean> {
  await putAside(log);
  const handle = await open(log, 'a', 0o600);
  try {
    const child = spawn(program, args, { cwd: '/', detached: true, stdio: ['ignore', handle.fd, handle.fd] });
    const started = await new Promise<boolean>((resolve) => {
      child.once('spawn', () => {
        resolve(true);
      });
      child.once('error', () => {
        resolve(false);
      });
    });
    child.unref();
    return started;
  } finally {
    await handle.close();
  }
}
