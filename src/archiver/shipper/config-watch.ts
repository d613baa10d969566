import { type FSWatcher, watch } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { basename, dirname } from 'node:path';

/** The file's own directory and, for a symbolic link, the directory of its target: either file may be replaced. */
async function placesOf(file: string): Promise<readonly string[]> {
  const real = await realpath(file).catch(() => file);
  return [...new Set([file, real])];
}

/** An editor replaces a file by renaming another one to its name: we watch the directory, not the file. */
function watchPlace(path: string, onEvent: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(dirname(path), { persistent: false }, (_, entry) => {
      if (entry === null || entry === basename(path)) onEvent();
    });
    watcher.on('error', () => {
      watcher.close();
    });
    return watcher;
  } catch {
    return undefined;
  }
}

/**
 * Calls `onEvent` when something happens to a file. This only makes reactions faster: if inotify has run out of
 * watches, nothing is reported, and callers must also check from time to time.
 *
 * @returns a function that ends it
 */
export async function watchConfigFile(file: string, onEvent: () => void): Promise<() => void> {
  const watchers = (await placesOf(file)).map((path) => watchPlace(path, onEvent));
  return () => {
    for (const watcher of watchers) watcher?.close();
  };
}
