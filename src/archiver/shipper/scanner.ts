import { join } from 'node:path';
import { PitrError } from '../../errors.ts';
import { parseWalName } from '../../postgres/wal-name.ts';
import { logFailure } from '../../system/log.ts';
import { removeMarker } from '../markers/markers.ts';
import { listReady } from '../wal/ready-files.ts';
import { checkWalFile, isReady, statusOf, walFileAt } from '../wal/wal-file.ts';
import { addReady, admit, removeReady, replaceReady, unseen } from './board.ts';
import { createWakeUp } from './signal.ts';
import { watchDirectory } from './watch.ts';
import { isStopped, type Work } from './work.ts';

/** How often the whole directory is listed, in case the watch has missed something. */
const pollMs = 5_000;

/** The changes of archive_status, by name of the WAL file; `everything` if it must be listed. */
interface News {
  readonly names: Set<string>;
  everything: boolean;
}

async function forget(work: Work, name: string): Promise<void> {
  await removeMarker(work.places, work.cluster.systemIdentifier, name);
}

async function takeNews(work: Work, directory: string, news: News): Promise<void> {
  const names = [...news.names];
  const { everything } = news;
  news.names.clear();
  news.everything = false;
  if (everything) {
    const ready = await listReady(directory);
    work.board.refused.clear();
    for (const name of replaceReady(work.board, ready)) await forget(work, name);
    return;
  }
  for (const name of names) {
    if (parseWalName(name).kind === 'not-wal') continue;
    if (await isReady(directory, name)) addReady(work.board, name);
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
  const status = statusOf(directory);
  const news: News = { names: new Set(), everything: true };
  const wakeUp = createWakeUp();
  work.stop.addEventListener('abort', wakeUp.wake, { once: true });
  const onEntry = (entry: string | null): void => {
    const name = /^(.*)\.(?:ready|done)$/s.exec(entry ?? '')?.[1];
    if (name !== undefined) news.names.add(name);
    if (entry === null) news.everything = true;
    if (name !== undefined || entry === null) wakeUp.wake();
  };
  const unwatch = watchDirectory(status, onEntry, (reason) => {
    work.deps.log.warning(`cannot watch "${status}", so it is read every few seconds: ${reason}`);
  });
  let listedMs = -Infinity;
  try {
    while (!isStopped(work)) {
      const nowMs = work.deps.monotonicMs();
      if (nowMs - listedMs >= pollMs) {
        news.everything = true;
        listedMs = nowMs;
      }
      await scanOnce(work, directory, news);
      await wakeUp.wait(pollMs);
    }
  } finally {
    unwatch();
  }
}

async function scanOnce(work: Work, directory: string, news: News): Promise<void> {
  try {
    await takeNews(work, directory, news);
    await admitUnseen(work, directory);
    work.board.isListed = true;
    work.decide.wake();
    for (const { wakeUp } of work.lanes) wakeUp.wake();
  } catch (error) {
    if (!isStopped(work)) logFailure(work.deps.log, error);
    news.everything = true;
  }
}
