/**
 * The archive as a drill's copy sees it: a directory of its own with a symbolic link for each file that was in archivedir. All
 * that the copy writes into its archive stays there. A standby that runs may let go of WAL that the copy still needs, so
 * that its segments are copied before that can happen.
 */
import { basename, join } from 'node:path';
import { messageOf } from '../../errors.ts';
import { firstLsnOf, segmentNumber } from '../../postgres/lsn.ts';
import type { WalName } from '../../postgres/wal-name.ts';
import { exists, systemErrorCode } from '../../system/durable.ts';
import { mkdir, rename, symlink } from '../../system/files.ts';
import { sentinelName } from '../../system/sentinel.ts';
import { listWal } from '../archive/contents.ts';
import type { StandbyDeps } from '../deps.ts';
import { observeServer } from '../server/server-state.ts';
import { copyOne } from './copy-files.ts';
import type { Origin } from './origin.ts';
import type { DrillPlace } from './place.ts';

export interface ArchiveView {
  /** Takes in what has arrived since, and nothing after that. */
  readonly complete: () => Promise<void>;
  /** The bytes of the segments in it, beginning with the one where the copy begins to recover. */
  readonly bytes: () => number;
  /** Ends the copying of what the standby may let go of. Throws if that has failed. */
  readonly end: () => Promise<void>;
}

const everyMs = 2_000;
/** While a base backup waits for what arrives. */
const growingMs = 600;
/** The end of a drill does not wait for the next look. */
const sliceMs = 200;

/** Files of no use for a recovery are left out. */
function isNeeded(name: WalName, { wal }: Origin): boolean {
  if (name.kind === 'history' || name.kind === 'backup') return true;
  return name.kind === 'segment' && segmentNumber(name, wal.layout) >= segmentNumber(wal.from, wal.layout);
}

/** Replaces the link by a copy. A file that has gone meanwhile is missing from the copy's archive, too. */
async function keep(deps: StandbyDeps, from: string, to: string): Promise<void> {
  const temporary = join(to, '..', `.${basename(to)}.tmp`);
  try {
    await copyOne(deps, from, temporary);
  } catch (error) {
    deps.signal.throwIfAborted();
    if (await exists(from)) throw error;
    return;
  }
  await rename(temporary, to);
}

/**
 * Until it is complete it takes in what arrives: the recovery of a copy begins before that WAL, and a standby may let go of
 * it before the copy is made.
 *
 * @param isHurried a base backup waits for what arrives
 */
export async function makeView(
  deps: StandbyDeps,
  origin: Origin,
  place: DrillPlace,
  isHurried: boolean,
  observe = observeServer,
): Promise<ArchiveView> {
  const { directory: archivedir } = origin.archive;
  const known = new Map<string, WalName>();
  const kept = new Set<string>();
  await mkdir(place.archive, { recursive: true, mode: 0o700 });
  await copyOne(deps, join(archivedir, sentinelName), join(place.archive, sentinelName));

  const refresh = async (): Promise<void> => {
    for (const name of (await listWal(archivedir)).filter((each) => isNeeded(each, origin))) {
      if (known.has(name.text)) continue;
      await symlink(join(archivedir, name.text), join(place.archive, name.text)).catch((error: unknown) => {
        if (systemErrorCode(error) !== 'EEXIST') throw error;
      });
      known.set(name.text, name);
    }
  };

  /** A restartpoint lies behind what was replayed: only the WAL up to there can be let go of. */
  const keepReplayed = async (): Promise<void> => {
    const state = await observe(origin.server);
    if (state.kind !== 'recovering') return;
    const replayed = state.replayed ?? 0n;
    for (const [text, name] of known) {
      if (kept.has(text) || name.kind !== 'segment') continue;
      if (state.answers && firstLsnOf(name, origin.wal.layout.segmentSize) > replayed) continue;
      const own = join(place.archive, text);
      // A base backup moves WAL of another history aside.
      if (await exists(own)) await keep(deps, join(archivedir, text), own);
      kept.add(text);
    }
  };

  await refresh();
  let isEnding = false;
  let isGrowing = true;
  const loop = async (): Promise<void> => {
    for (let leftMs = 0; !isEnding; leftMs -= sliceMs) {
      if (leftMs <= 0) {
        if (isGrowing) await refresh();
        await keepReplayed();
        leftMs = isGrowing && isHurried ? growingMs : everyMs;
      }
      await deps.pause(sliceMs);
    }
  };
  const isRunning = origin.state.kind === 'recovering';
  if (isRunning) await keepReplayed();
  const looping = (isRunning || isHurried ? loop() : Promise.resolve()).catch((error: unknown) => error);
  return {
    complete: async () => {
      isGrowing = false;
      await refresh();
    },
    bytes: () =>
      [...known.values()].filter(({ kind }) => kind === 'segment').length * origin.wal.layout.segmentSize,
    end: async () => {
      isEnding = true;
      const failure = await looping;
      if (failure === undefined) return;
      deps.signal.throwIfAborted();
      deps.log.debug(`WAL for the copy could not be kept: ${messageOf(failure)}`);
      throw failure instanceof Error ? failure : new Error(messageOf(failure));
    },
  };
}
