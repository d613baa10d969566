import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, rename } from 'node:fs/promises';
import type { CommandLine } from './command.ts';
import { sizeOf } from './durable.ts';

/** If nothing rotates the log, it is set aside at this size; one older log is kept. */
const longestLogBytes = 1024 * 1024;

async function putAside(log: string): Promise<void> {
  if ((await sizeOf(log)) > longestLogBytes) await rename(log, `${log}.1`);
}

/**
 * Starts a program in a session of its own that outlives us. It holds none of our descriptors open: a process that
 * waits for the end of our output does not wait for this program.
 *
 * @returns whether it could be started; we do not watch what it does then
 */
export async function startDetached({ program, args }: CommandLine, log: string): Promise<boolean> {
  await putAside(log);
  const handle = await open(log, 'a', 0o600);
  try {
    const child = spawn(program, args, { cwd: '/', detached: true, stdio: ['ignore', handle.fd, handle.fd] });
    const started = await once(child, 'spawn').then(
      () => true,
      () => false,
    );
    child.unref();
    return started;
  } finally {
    await handle.close();
  }
}
