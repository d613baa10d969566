import { join, relative } from 'node:path';
import { isWithin } from '../../../../config/path-values.ts';
import type { TablespaceTarget } from '../../../host/tablespaces.ts';
import type { PrimaryFacts } from '../../../primary/primary.ts';

/** A tablespace of the primary whose files cannot be found on the source host, or cannot be placed here. */
export interface Unplaced {
  readonly name: string;
  readonly reason: string;
}

/** The path on the source host; undefined if that standby does not have the tablespace yet. */
function locationOn({ tablespaces }: PrimaryFacts, { oid }: TablespaceTarget): string | undefined {
  return tablespaces.find((tablespace) => tablespace.oid === oid)?.location;
}

/**
 * Tablespaces that prevent a copy. If a tablespace lies inside pgdata here, it must lie at the same place inside the
 * source's data directory, because it is copied as a part of that.
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

/** The same tablespaces with the paths from which their files are read. */
export function locatedOn(
  targets: readonly TablespaceTarget[],
  origin: PrimaryFacts,
): readonly TablespaceTarget[] {
  return targets.map((target) => {
    const location = locationOn(origin, target) ?? target.location;
    // A tablespace that lies inside the source's data directory, but elsewhere here, is copied separately.
    return {
      ...target,
      location,
      isInsidePgdata: target.isInsidePgdata && isWithin(location, origin.dataDirectory),
    };
  });
}
