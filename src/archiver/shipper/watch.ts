import { watch } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { messageOf } from '../../errors.ts';

// A watch only makes reactions faster: if inotify has run out of watches, nothing is reported, and callers must also
// look from time to time.

/**
 * Calls `onEntry` when something happens to an entry of the directory, with its name if that is known.
 *
 * @returns a function that ends it
 */
export function watchDirectory(
  directory: string,
  onEntry: (entry: string | null) => void,
  onTrouble: (reason: string) => void = () => undefined,
): () => void {
  try {
    const watcher = watch(directory, { persistent: false }, (_, entry) => {
      onEntry(entry);
    });
    watcher.on('error', (error) => {
      onTrouble(error.message);
      watcher.close();
    });
    return () => {
      watcher.close();
    };
  } catch (error) {
    onTrouble(messageOf(error));
    return () => undefined;
  }
}

/** Calls `onEvent` when something happens to a file. @returns a function that ends it */
export async function watchFile(file: string, onEvent: () => void): Promise<() => void> {
  const real = await realpath(file).catch(() => file);
  // Either the file or, for a symbolic link, its target may be replaced. An editor replaces a file by renaming another
  // one to its name: we watch the directory, not the file.
  const ends = [...new Set([file, real])].map((path) =>
    watchDirectory(dirname(path), (entry) => {
      if (entry === null || entry === basename(path)) onEvent();
    }),
  );
  return () => {
    for (const end of ends) end();
  };
}
