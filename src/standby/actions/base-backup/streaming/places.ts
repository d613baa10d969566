import { join } from 'node:path';
import { receivingName } from '../../../host/pgdata-content.ts';
import type { LocalPlace } from '../../../host/place.ts';
import type { TablespaceTarget } from '../../../host/tablespaces.ts';

export type ReceivingPlace = Pick<LocalPlace, 'pgdata' | 'targets'>;

/** Where pg_basebackup writes: on the file system on which the files are to lie, so that moving them is renaming. */
export function receivingDirectory({ pgdata }: Pick<LocalPlace, 'pgdata'>): string {
  return join(pgdata, receivingName);
}

/** A tablespace inside pgdata must not be received inside the directory that pgdata itself is received in. */
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
