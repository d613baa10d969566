import { readdir } from 'node:fs/promises';
import type { StandbyTarget } from '../../config/options-archiver.ts';
import { PitrError } from '../../errors.ts';
import { systemErrorCode } from '../../system/durable.ts';
import type { ArchiverDeps } from '../deps.ts';
import { type Lane, laneOf, withLaneLock } from './lane.ts';
import { withdrawProof } from './modes.ts';
import { readLaneState } from './state.ts';

/** A lane that another process serves is released after five seconds at most. */
const lockWaitMs = 10_000;
const suffix = '.json';

/** Whether there is a proof. A state that cannot be read proves nothing to anybody. */
async function hasProof(lane: Lane): Promise<boolean> {
  try {
    return (await readLaneState(lane)).caughtUp !== undefined;
  } catch (error) {
    if (error instanceof PitrError) return false;
    throw error;
  }
}

/**
 * Withdraws the proofs of standbys that `slaves` does not name: from now on WAL is archived without them. Call this
 * before anything is archived by an INI file. A standby that is added again is then asked what it has.
 */
export async function withdrawProofsOfOthers(deps: ArchiverDeps): Promise<void> {
  const { layout, settings } = deps;
  const served = new Set(settings.standbys.map(({ name }) => name));
  const files = await readdir(layout.privateDirectory).catch((error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw error;
  });
  for (const file of files) {
    const name = file.slice(0, -suffix.length);
    if (!file.endsWith(suffix) || file.startsWith('.') || served.has(name)) continue;
    // Only the paths matter, which follow from the name.
    const lane = laneOf(layout, { name } as StandbyTarget);
    if (!(await hasProof(lane))) continue;
    await withLaneLock(
      deps,
      lane,
      lockWaitMs,
      () => withdrawProof(lane),
      () => {
        throw new PitrError(`standby ${name}: its lane is busy, although the INI file does not name it`);
      },
    );
  }
}
