import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { messageOf, PitrError } from '../errors.ts';
import { describeResult, type RunCommand } from './command.ts';
import { systemErrorCode } from './durable.ts';

export interface Lock {
  /** The descriptor that holds the lock: a child that inherits it holds the lock as well. */
  readonly fd: number;
  release(): Promise<void>;
}

const heldByOther = 1;

/**
 * Takes an exclusive lock. The kernel drops it when its last holder is gone: it cannot become stale. Node has no
 * flock: flock(1) locks the open file description that we hand it as its fd 3, and we keep it.
 *
 * @param waitMs 0 to try only once
 * @returns undefined if another process holds the lock
 */
export async function takeLock(run: RunCommand, path: string, waitMs: number): Promise<Lock | undefined> {
  const handle = await open(path, constants.O_RDWR | constants.O_CREAT, 0o600).catch((error: unknown) => {
    throw new PitrError(`cannot open lock file "${path}"`, { detail: messageOf(error), cause: error });
  });
  const wait = waitMs === 0 ? ['-n'] : ['-w', (waitMs / 1000).toFixed(3)];
  const result = await run(
    { program: 'flock', args: [...wait, '3'] },
    { limitMs: waitMs + 10_000, heldFds: [handle.fd] },
  );
  if (result.kind === 'exited' && result.code === 0) return { fd: handle.fd, release: () => handle.close() };
  await handle.close();
  if (result.kind === 'exited' && result.code === heldByOther) return undefined;
  throw new PitrError(`cannot lock "${path}": flock: ${describeResult(result)}`, {
    hint: 'flock(1) is part of the package util-linux.',
  });
}

/** Whether a process holds the lock now. The file is not made, and the lock is held for no longer than the look takes. */
export async function isLocked(run: RunCommand, path: string): Promise<boolean> {
  const handle = await open(path, 'r').catch((error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw new PitrError(`cannot open lock file "${path}"`, { detail: messageOf(error), cause: error });
  });
  if (handle === undefined) return false;
  try {
    // Shared: two looks at the same time do not take each other for the holder.
    const command = { program: 'flock', args: ['-n', '-s', '3'] };
    const result = await run(command, { limitMs: 2_000, heldFds: [handle.fd] });
    if (result.kind === 'exited' && result.code === 0) return false;
    if (result.kind === 'exited' && result.code === heldByOther) return true;
    throw new PitrError(`cannot look at lock "${path}": flock: ${describeResult(result)}`);
  } finally {
    await handle.close();
  }
}
