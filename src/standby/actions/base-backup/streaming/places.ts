import { join } from 'node:path';
import { receivingName } from '../../../host/pgdata-content.ts';
import type { LocalPlace } from '../../../host/place.ts';
import type { TablespaceTarget } from '../../../host/tablespaces.ts';

export type ReceivingPlace = Pick<LocalPlace, 'pgdata' | 'targets'>;

/**
 * The directory in which pg_basebackup writes. It is on the same file system as the final place, so that the files can
 * be moved by renaming.
 */
export function receivingDirectory({ pgdata }: Pick<LocalPlace, 'pgdata'>): string {
  return join(pgdata, receivingName);
}

/** A tablespace inside pgdata must not be received inside the directory that receives pgdata itself. */
export function receivingTablespace(
  { pgdata }: Pick<LocalPlace, 'pgdata'>,
  target: TablespaceTarget,
): string {
  return target.isInsidePgdata
    ? join(pgdata, `${receivingName}-${target.oid}`)
    : join(target.target, receivingName);
}

export function receivingPlaces(place: ReceivingPlace): readonly string[] {
  return [receivingDirectory(place), ...place.targets.map((target) => receivingTablespace(place, target))];
}
