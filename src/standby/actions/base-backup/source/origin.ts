import { join, relative } from 'node:path';
import { isWithin } from '../../../../config/path-values.ts';
import type { TablespaceTarget } from '../../../host/tablespaces.ts';
import type { PrimaryFacts } from '../../../primary/primary.ts';

/** A tablespace of the primary whose files cannot be found, or not be placed, on the host that is copied from. */
export interface Unplaced {
  readonly name: string;
  readonly reason: string;
}

/** Where such a tablespace lies there; undefined where that standby does not have it (yet). */
function locationOn({ tablespaces }: PrimaryFacts, { oid }: TablespaceTarget): string | undefined {
  return tablespaces.find((tablespace) => tablespace.oid === oid)?.location;
}

/**
 * Tablespaces in the way of a copy: one that lies inside pgdata here must lie at the same place inside the data directory
 * there, since it is copied together with it.
 */
export function findUnplaced(
  targets: readonly TablespaceTarget[],
  primary: PrimaryFacts,
  origin: PrimaryFacts,
): readonly Unplaced[] {
  return targets.flatMap((target) => {
    const { name } = target;
    const location = locationOn(origin, target);
    if (location === undefined) return [{ name, reason: 'is not there yet' }];
    const expected = join(origin.dataDirectory, relative(primary.dataDirectory, target.location));
    if (!target.isInsidePgdata || location === expected) return [];
    return [{ name, reason: `lies elsewhere there ("${location}") than inside its data directory` }];
  });
}

/** The same tablespaces, by where their files are read from. */
export function locatedOn(
  targets: readonly TablespaceTarget[],
  origin: PrimaryFacts,
): readonly TablespaceTarget[] {
  return targets.map((target) => {
    const location = locationOn(origin, target) ?? target.location;
    // One that lies in a data directory there and elsewhere here is copied by itself.
    return {
      ...target,
      location,
      isInsidePgdata: target.isInsidePgdata && isWithin(location, origin.dataDirectory),
    };
  });
}
