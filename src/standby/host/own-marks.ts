/**
 * The timelines that this host declared left as a primary. Once it becomes a standby anew, they are another primary's to
 * declare: kept until its next promotion, they would be sent to the standbys again.
 */
import { resolve } from 'node:path';
import { messageOf } from '../../errors.ts';
import { exists } from '../../system/durable.ts';
import { leftMarksFile, removeLeftMarks } from '../../system/left-marks.ts';
import type { StandbyDeps } from '../deps.ts';
import { readArchiverPart } from './archiver-part.ts';

/** The l_archivedir where such marks stand; undefined if there are none. */
export async function findOwnMarks(deps: StandbyDeps): Promise<string | undefined> {
  const part = await readArchiverPart(deps);
  if (part.kind !== 'ready') return undefined;
  const { pgdata, l_archivedir } = part.settings;
  // Another server on this host is none of our business.
  if (resolve(pgdata) !== resolve(deps.settings.pgdata)) return undefined;
  return (await exists(leftMarksFile(l_archivedir))) ? l_archivedir : undefined;
}

export function describeWithdrawal(directory: string): string {
  return `remove "${leftMarksFile(directory)}": this host is a standby again, and declares no timeline left`;
}

/** Never fails: cmd_archiver ignores marks that its server's history does not confirm. */
export async function withdrawOwnMarks({ log }: StandbyDeps, directory: string): Promise<void> {
  try {
    await removeLeftMarks(directory);
  } catch (error) {
    const file = leftMarksFile(directory);
    log.warning(`cannot remove "${file}", which remains from a promotion of this host: ${messageOf(error)}`, {
      hint: `Remove it: rm ${file}`,
    });
  }
}
