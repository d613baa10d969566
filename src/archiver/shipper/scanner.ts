import { join } from 'node:path';
import { PitrError } from '../../errors.ts';
import { parseWalName } from '../../postgres/wal-name.ts';
import { logFailure } from '../../system/log.ts';
import { withdrawProofs } from '../../system/proofs.ts';
import { removeMarker } from '../markers/markers.ts';
import { listStatus } from '../wal/ready-files.ts';
import { checkWalFile, isReady, statusOf, walFileAt } from '../wal/wal-file.ts';
import { admit, unseen } from './board.ts';
import { takeChange, takeListing } from './passed.ts';
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

/** It is not known any more whether these standbys have everything: they are asked (lane-catch-up.ts). */
async function doubt({ deps }: Work, mayLack: ReadonlySet<string>): Promise<void> {
  if (mayLack.size === 0) return;
  const { log, layout } = deps;
  const asked = await withdrawProofs(log, layout.privateDirectory, (standby) => mayLack.has(standby));
  if (asked.length === 0) return;
  log.notice(
    `PostgreSQL takes WAL for archived that this shipper did not ship: ${asked.join(', ')} will be asked what is lacking there`,
  );
}

async function takeNews(work: Work, directory: string, news: News): Promise<void> {
  const names = [...news.names];
  const { everything } = news;
  news.names.clear();
  news.everything = false;
  const { board } = work;
  if (everything) {
    const { ready, done } = await listStatus(directory);
    board.refused.clear();
    const { gone, mayLack } = takeListing(board, ready, done);
    await doubt(work, mayLack);
    for (const name of gone) await forget(work, name);
    return;
  }
  for (const name of names) {
    if (parseWalName(name).kind === 'not-wal') continue;
    const { gone, mayLack } = takeChange(board, name, await isReady(directory, name));
    await doubt(work, mayLack);
    for (const each of gone) await forget(work, each);
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

/** The observation of archive_status. */
interface Observation {
  readonly directory: string;
  readonly news: News;
  readonly wakeUp: ReturnType<typeof createWakeUp>;
  readonly end: () => void;
}

/**
 * Begins to observe archive_status. Of what passed before nobody has seen whether every standby got it, for example
 * while no shipper ran: each of them is asked what it has.
 */
export async function observeReady(work: Work, directory: string): Promise<Observation> {
  const status = statusOf(directory);
  const news: News = { names: new Set(), everything: true };
  const wakeUp = createWakeUp();
  const onEntry = (entry: string | null): void => {
    const name = /^(.*)\.(?:ready|done)$/s.exec(entry ?? '')?.[1];
    if (name !== undefined) news.names.add(name);
    if (entry === null) news.everything = true;
    if (name !== undefined || entry === null) wakeUp.wake();
  };
  const end = watchDirectory(status, onEntry, (reason) => {
    work.deps.log.warning(`cannot watch "${status}", so it is read every few seconds: ${reason}`);
  });
  await withdrawProofs(work.deps.log, work.deps.layout.privateDirectory, () => true);
  return { directory, news, wakeUp, end };
}

/** Keeps the board up to date with what PostgreSQL has ready, until the shipper stops. */
export async function runScanner(work: Work, { directory, news, wakeUp, end }: Observation): Promise<void> {
  work.stop.addEventListener('abort', wakeUp.wake, { once: true });
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
    end();
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
