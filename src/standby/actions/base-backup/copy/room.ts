import { stat, statfs } from 'node:fs/promises';
import { inMegabytes } from '../../../../megabytes.ts';
import { nearestExisting } from '../../../../system/durable.ts';
import type { Objection } from '../../../steps/objections.ts';

/** The space that one root needs on the file system of its target. */
export interface Demand {
  readonly target: string;
  readonly neededBytes: number;
}

/** One file system of this host, and everything that will be written to it. */
export interface FileSystemNeed {
  readonly targets: readonly string[];
  readonly neededBytes: number;
  readonly freeBytes: number;
}

/** Adds up the needs of each file system: directories on the same one share its space. */
export async function measureRoom(demands: readonly Demand[]): Promise<readonly FileSystemNeed[]> {
  const byDevice = new Map<number, FileSystemNeed>();
  for (const { target, neededBytes } of demands) {
    const place = await nearestExisting(target);
    const { dev } = await stat(place);
    const { bavail, bsize } = await statfs(place);
    const known = byDevice.get(dev) ?? { targets: [], neededBytes: 0, freeBytes: bavail * bsize };
    const targets = [...known.targets, target];
    byDevice.set(dev, { ...known, targets, neededBytes: known.neededBytes + neededBytes });
  }
  return [...byDevice.values()];
}

/** One line for each file system that is too full for the copy. */
export function findLackOfRoom(needs: readonly FileSystemNeed[]): readonly string[] {
  return needs
    .filter(({ neededBytes, freeBytes }) => neededBytes > freeBytes)
    .map(
      ({ targets, neededBytes, freeBytes }) =>
        `the file system of ${targets.join(', ')} has ${inMegabytes(freeBytes)} free, and ${inMegabytes(neededBytes)} are needed`,
    );
}

/** The objections to a copy for which there is not enough space. */
export function roomObjections(needs: readonly FileSystemNeed[]): readonly Objection[] {
  return findLackOfRoom(needs).map((message) => ({
    name: 'room',
    message,
    hint: 'Free some space, or give tablespaces another path by [tablespaces].',
    cost: 'the copy fails when the file system is full',
  }));
}
