import { watch, type FSWatcher } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { basename, dirname } from 'node:path';

/** The file's own directory and, where it is a symbolic link, that of what it leads to: either may be replaced. */
async function placesOf(file: string): Promise<readonly string[]> {
  const real = await realpath(file).catch(() => file);
  return [...new Set([file, real])];
}

/** An editor replaces a file by renaming another to its name, so the directory is watched, not the file. */
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
 * Calls `onEvent` when something happens to a file. Only a help to be quick: where inotify has no more watches nothing is
 * told, so whoever must know looks now and then as well.
 *
 * @returns ends it
 */
export async function watchConfigFile(file: string, onEvent: () => void): Promise<() => void> {
  const watchers = (await placesOf(file)).map((path) => watchPlace(path, onEvent));
  return () => {
    for (const watcher of watchers) watcher?.close();
  };
}
