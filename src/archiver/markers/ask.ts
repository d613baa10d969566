import { dirname } from 'node:path';
import { messageOf } from '../../errors.ts';
import { removeFile, writePrivately } from '../../system/files.ts';
import { isLocked, takeLock } from '../../system/lock.ts';
import type { ArchiverDeps } from '../deps.ts';
import type { Cluster } from '../wal/cluster.ts';
import { isReady, type WalFile } from '../wal/wal-file.ts';
import { isProven } from './markers.ts';
import { type ShipperPlaces, shipperPlaces } from './places.ts';

/** The access of archive_command to the shipper. */
export interface ShipperAccess {
  readonly configFile: string;
  /** Starts a shipper that outlives this process; its output goes to the log. */
  readonly startShipper: (log: string) => Promise<boolean>;
}

const askAgainMs = 20;
/** The time that a shipper needs in addition to `queue_after`: to notice, to copy, to mark. */
const answerMs = 1_500;
const startMs = 1_500;
/** The time for a local copy on the slowest acceptable disk. */
const copyBytesPerMs = 20_000;

/** A shipper that runs looks at once whether it still ships by the present INI file. If this fails, it looks within seconds. */
async function haveItLook({ log, pid }: ArchiverDeps, { look }: ShipperPlaces): Promise<void> {
  try {
    await writePrivately(look, `${pid}\n`);
    await removeFile(look);
  } catch (error) {
    log.debug(`cannot make "${look}": ${messageOf(error)}`);
  }
}

/** A process that only looks whether there is a shipper (`isLocked`) holds the lock for a moment, too. */
const mostTries = 3;

/** Makes sure that a shipper runs. */
export async function ensureShipper(
  deps: ArchiverDeps,
  access: ShipperAccess,
  places: ShipperPlaces = shipperPlaces(deps.layout),
): Promise<'runs' | 'started' | 'none'> {
  for (let tries = 1; ; tries += 1) {
    const lock = await takeLock(deps.run, places.lock, 0);
    await lock?.release();
    if (lock !== undefined) return (await access.startShipper(places.log)) ? 'started' : 'none';
    // Two looks do not exclude each other: this one finds a shipper alone.
    if (tries === mostTries || (await isLocked(deps.run, places.lock))) return 'runs';
  }
}

/**
 * Waits until the shipper confirms that a file is safe, or until the limit has passed; starts a shipper if there is
 * none. If no confirmation comes in time, that is no failure: the caller then does the work itself.
 */
export async function askShipper(
  deps: ArchiverDeps,
  access: ShipperAccess,
  cluster: Cluster,
  file: WalFile,
): Promise<'safe' | 'no-answer'> {
  const places = shipperPlaces(deps.layout);
  const prove = (): Promise<boolean> => isProven(places, cluster.systemIdentifier, access.configFile, file);
  if (await prove()) return 'safe';
  // The shipper handles only files that PostgreSQL has marked as ready; -F by hand may name others.
  if (cluster.isInRecovery || !(await isReady(dirname(file.path), file.name.text))) return 'no-answer';
  const shipper = await ensureShipper(deps, access, places).catch((error: unknown) => {
    deps.log.warning(`there is no shipper: ${messageOf(error)}`);
    return 'none' as const;
  });
  if (shipper === 'none') return 'no-answer';
  if (shipper === 'runs') await haveItLook(deps, places);
  const copyMs = Number(file.identity.size) / copyBytesPerMs;
  const limitMs =
    deps.settings.queue_after * 1000 + answerMs + copyMs + (shipper === 'started' ? startMs : 0);
  const began = deps.monotonicMs();
  while (deps.monotonicMs() - began < limitMs) {
    if (await prove()) return 'safe';
    await deps.pause(askAgainMs);
  }
  deps.log.warning(
    `the shipper did not confirm ${file.name.text} within ${Math.round(limitMs / 100) / 10} s`,
  );
  return 'no-answer';
}
