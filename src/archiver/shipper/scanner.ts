import { watch } from 'node:fs';
import { basename, join } from 'node:path';
import { messageOf, PitrError } from '../../errors.ts';
import { parseWalName } from '../../postgres/wal-name.ts';
import { exists } from '../../system/durable.ts';
import { logFailure } from '../../system/log.ts';
import { removeMarker } from '../markers/markers.ts';
import { listReady } from '../wal/ready-files.ts';
import { checkWalFile, walFileAt } from '../wal/wal-file.ts';
import { addReady, admit, removeReady, replaceReady, unseen } from './board.ts';
import { createWakeUp } from './signal.ts';
import { isStopped, type Work } from './work.ts';

/** How often the whole directory is listed, in case the watch has missed something. */
const pollMs = 5_000;
const readySuffix = '.ready';
const doneSuffix = '.done';

/** The changes of archive_status, by name of the WAL file; `everything` if it must be listed. */
interface News {
  readonly names: Set<string>;
  everything: boolean;
}

function nameIn(entry: string): string | undefined {
  for (const suffix of [readySuffix, doneSuffix]) {
    if (entry.endsWith(suffix)) return basename(entry, suffix);
  }
  return undefined;
}

/** fs.watch may fail if inotify has run out of watches: then polling does all the work. */
function watchDirectory(work: Work, directory: string, onEntry: (entry: string | null) => void): () => void {
  try {
    const watcher = watch(directory, { persistent: false }, (_, entry) => {
      onEntry(entry);
    });
    watcher.on('error', (error) => {
      work.deps.log.warning(`cannot watch "${directory}", looking at it every few seconds: ${error.message}`);
    });
    return () => {
      watcher.close();
    };
  } catch (error) {
    work.deps.log.warning(
      `cannot watch "${directory}", looking at it every few seconds: ${messageOf(error)}`,
    );
    return () => undefined;
  }
}

async function forget(work: Work, name: string): Promise<void> {
  await removeMarker(work.places, work.cluster.systemIdentifier, name);
}

async function takeNews(work: Work, status: string, news: News): Promise<void> {
  const names = [...news.names];
  const { everything } = news;
  news.names.clear();
  news.everything = false;
  if (everything) {
    const ready = await listReady(join(status, '..'));
    work.board.refused.clear();
    for (const name of replaceReady(work.board, ready)) await forget(work, name);
    return;
  }
  for (const name of names) {
    if (parseWalName(name).kind === 'not-wal') continue;
    if (await exists(join(status, `${name}${readySuffix}`))) addReady(work.board, name);
    else {
      removeReady(work.board, name);
      await forget(work, name);
    }
  }
}

/** Each file of the window is checked before a lane gets it. */
async function admitUnseen(work: Work, directory: string): Promise<void> {
  const { board, deps, cluster } = work;
  for (const text of unseen(board)) {
    const name = parseWalName(text);
    if (name.kind === 'not-wal') continue;
    try {
      const file = await walFileAt(join(directory, text), name);
      await checkWalFile(file, cluster, deps.settings.pgdata);
      admit(board, file);
    } catch (error) {
      if (!(error instanceof PitrError)) throw error;
      board.refused.set(text, error.message);
      if (board.told.get(text) !== error.message) deps.log.error(error.message);
      board.told.set(text, error.message);
    }
  }
}

/** Keeps the board up to date with what PostgreSQL has ready, until the shipper stops. */
export async function runScanner(work: Work, directory: string): Promise<void> {
  const status = join(directory, 'archive_status');
  const news: News = { names: new Set(), everything: true };
  const wakeUp = createWakeUp();
  const onStop = wakeUp.wake;
  work.stop.addEventListener('abort', onStop, { once: true });
  const unwatch = watchDirectory(work, status, (entry) => {
    const name = entry === null ? undefined : nameIn(entry);
    if (name !== undefined) news.names.add(name);
    if (name !== undefined || entry === null) {
      news.everything ||= entry === null;
      wakeUp.wake();
    }
  });
  let listedMs = -Infinity;
  try {
    while (!isStopped(work)) {
      const nowMs = work.deps.monotonicMs();
      if (nowMs - listedMs >= pollMs) {
        news.everything = true;
        listedMs = nowMs;
      }
      await scanOnce(work, directory, status, news);
      await wakeUp.wait(pollMs);
    }
  } finally {
    unwatch();
  }
}

async function scanOnce(work: Work, directory: string, status: string, news: News): Promise<void> {
  try {
    await takeNews(work, status, news);
    await admitUnseen(work, directory);
    work.board.isListed = true;
    work.decide.wake();
    for (const { wakeUp } of work.lanes) wakeUp.wake();
  } catch (error) {
    if (!isStopped(work)) logFailure(work.deps.log, error);
    news.everything = true;
  }
}
