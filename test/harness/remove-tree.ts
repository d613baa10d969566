import { rmSync } from 'node:fs';

/** Removes a directory and all below it, also when a process that is ending still puts a file there. */
export function removeTree(path: string): void {
  rmSync(path, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
}
