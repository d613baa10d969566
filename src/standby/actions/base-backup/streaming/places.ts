import { join } from 'node:path';
import { receivingName } from '../../../host/pgdata-content.ts';
import type { CopyPlace, TablespaceTarget } from '../../../host/tablespaces.ts';

/**
 * The directory in which pg_basebackup writes. It is on the same file system as the final place, so that the files can
 * be moved by renaming.
 */
export function receivingDirectory({ pgdata }: Pick<CopyPlace, 'pgdata'>): string {
  return join(pgdata, receivingName);
}

/** A tablespace inside pgdata must not be received inside the directory that receives pgdata itself. */
export function receivingTablespace({ pgdata }: Pick<CopyPlace, 'pgdata'>, target: TablespaceTarget): string {
  return target.isInsidePgdata
    ? join(pgdata, `${receivingName}-${target.oid}`)
    : join(target.target, receivingName);
}

export function receivingPlaces(place: CopyPlace): readonly string[] {
  return [receivingDirectory(place), ...place.targets.map((target) => receivingTablespace(place, target))];
}
