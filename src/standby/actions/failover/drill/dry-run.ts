/** The space that a drill needs, and its steps for --dry-run. */
import { sizeText } from '../../../../amounts.ts';
import { listOrigin } from '../../../drill/make-copy.ts';
import { requireRoom, sharesBlocks } from '../../../drill/room.ts';
import { copies } from '../../../drill/show.ts';
import { walBytes } from '../../../drill/wal-room.ts';
import type { Drilling } from './drilling.ts';

/** The space that the copy needs, as far as it is known. The directory of the run must exist. */
export async function neededBytes({ deps, origin, place, newBackup }: Drilling): Promise<number> {
  const wal = await walBytes(origin);
  if (newBackup !== undefined) return (newBackup.facts.bytes ?? 0) + wal;
  const trees = await listOrigin(deps, origin, place);
  const data = trees.reduce((sum, { tree }) => sum + tree.bytes, 0);
  const shares =
    origin.way === 'snapshot' || (await sharesBlocks({ pgdata: origin.server.pgdata, run: place.run }));
  return (shares ? 0 : data) + wal;
}

/** The size of the copy, as far as it is known. */
async function copyBytes({ deps, origin, place, newBackup }: Drilling): Promise<number | undefined> {
  const wal = await walBytes(origin);
  if (newBackup !== undefined)
    return newBackup.facts.bytes === undefined ? undefined : newBackup.facts.bytes + wal;
  const data = await listOrigin(deps, origin, place);
  const files = data.reduce((sum, { tree }) => sum + tree.bytes, 0);
  return (origin.way === 'snapshot' ? 0 : files) + wal;
}

/** For --dry-run. */
export async function sayPlan(drilling: Drilling): Promise<void> {
  const { deps, origin, place } = drilling;
  const bytes = await copyBytes(drilling);
  await requireRoom(deps, place, bytes ?? 0);
  const size = bytes === undefined ? 'how much it takes is not known' : sizeText(bytes);
  const lines = [
    origin.way === 'new-base-backup'
      ? `make a base backup of the primary in "${place.run}", as -B would: ${size}, and the WAL from its beginning on`
      : `copy "${origin.server.pgdata}" to "${place.run}", ${copies[origin.way]}: ${size}`,
    'recover the copy with the WAL of the archive, promote it and verify it, as -F999 would',
    'check the copy, report, and discard it',
  ];
  lines.forEach((line, index) => {
    deps.report(`${index + 1}. ${line}`);
  });
  deps.report('Dry run: nothing was changed.');
}
