import { messageOf } from '../../errors.ts';
import { parseLsn } from '../../postgres/lsn.ts';
import { furthestOf } from '../archive/offer.ts';
import type { Archive } from '../archive/own-archive.ts';
import { nextRecordOf, readReplayFacts } from '../archive/replay-check.ts';
import type { StandbyDeps } from '../deps.ts';
import type { DataDirectory } from '../server/data-directory.ts';
import { progressOf } from '../server/progress.ts';
import type { SiblingQuestion } from './ask.ts';
import type { OwnReach } from './compare.ts';

/** The question that this host asks the others; undefined if its pg_control cannot be read. */
export async function ownQuestion(
  deps: StandbyDeps,
  directory: DataDirectory,
): Promise<SiblingQuestion | undefined> {
  const { control } = directory;
  const { replayed } = await progressOf(deps, directory);
  const from = nextRecordOf(directory, replayed === undefined ? undefined : parseLsn(replayed));
  if (control === undefined || from === undefined) return undefined;
  return { systemIdentifier: control.systemIdentifier, from };
}

/** How far this host can replay by what it has itself. Never fails. */
export async function ownReach(
  deps: StandbyDeps,
  directory: DataDirectory,
  archive: Archive,
): Promise<OwnReach | undefined> {
  try {
    return await observeReach(deps, directory, archive);
  } catch (error) {
    deps.signal.throwIfAborted();
    deps.log.warning(`how far this host can replay cannot be determined: ${messageOf(error)}`);
    return undefined;
  }
}

async function observeReach(
  deps: StandbyDeps,
  directory: DataDirectory,
  archive: Archive,
): Promise<OwnReach | undefined> {
  const progress = await progressOf(deps, directory);
  const replayed = progress.replayed === undefined ? undefined : parseLsn(progress.replayed);
  const facts = await readReplayFacts(directory, archive, replayed);
  const from = nextRecordOf(directory, replayed);
  if (facts === undefined || from === undefined) return undefined;
  const furthest = furthestOf(progress);
  return { facts, furthest: furthest > from ? furthest : from, left: archive.sentinel.left };
}
