/** The space that a drill needs, and its steps for --dry-run. */
import { sizeText } from '../../../../amounts.ts';
import { listOrigin } from '../../../drill/make-copy.ts';
import { mayShareBlocks, roomInDoubt, sharesBlocks } from '../../../drill/room.ts';
import { copies } from '../../../drill/show.ts';
import { walBytes } from '../../../drill/wal-room.ts';
import type { Drilling } from './drilling.ts';

interface Needed {
  readonly bytes: number;
  /** The size of the files of the copy that take no space. */
  readonly sharedBytes: number;
}

/** The space that the copy needs, as far as it is known. The directory of the run must exist. */
export async function neededSpace({ deps, origin, place, newBackup }: Drilling): Promise<Needed> {
  const wal = await walBytes(origin);
  if (newBackup !== undefined) return { bytes: (newBackup.facts.bytes ?? 0) + wal, sharedBytes: 0 };
  // A snapshot is mounted elsewhere.
  if (origin.way === 'snapshot') return { bytes: wal, sharedBytes: 0 };
  const trees = await listOrigin(deps, origin, place);
  const data = trees.reduce((sum, { tree }) => sum + tree.bytes, 0);
  const shares = await sharesBlocks({ pgdata: origin.server.pgdata, run: place.run });
  return shares ? { bytes: wal, sharedBytes: data } : { bytes: data + wal, sharedBytes: 0 };
}

interface Size {
  readonly bytes: number;
  /** If files of the copy share their blocks. */
  readonly least: number;
}

/** The size of the copy, as far as it is known. */
async function copySize({ deps, origin, place, newBackup }: Drilling): Promise<Size | undefined> {
  const wal = await walBytes(origin);
  if (newBackup !== undefined) {
    const { bytes } = newBackup.facts;
    return bytes === undefined ? undefined : { bytes: bytes + wal, least: bytes + wal };
  }
  if (origin.way === 'snapshot') return { bytes: wal, least: wal };
  const data = await listOrigin(deps, origin, place);
  const bytes = data.reduce((sum, { tree }) => sum + tree.bytes, 0) + wal;
  return { bytes, least: (await mayShareBlocks(place.directory)) ? wal : bytes };
}

function sizeWords(size: Size | undefined): string {
  if (size === undefined) return 'how much it takes is not known';
  const { bytes, least } = size;
  const shared = least < bytes ? `, or ${sizeText(least)} if the file system shares blocks` : '';
  return sizeText(bytes) + shared;
}

/** For --dry-run. */
export async function sayPlan(drilling: Drilling): Promise<void> {
  const { deps, origin, place } = drilling;
  const found = await copySize(drilling);
  const doubt = await roomInDoubt(deps, place, found?.bytes ?? 0, found?.least ?? 0);
  if (doubt !== undefined)
    deps.log.warning(`unless the file system shares blocks, the drill is refused: ${doubt.message}`, {
      hint: doubt.hint,
    });
  const size = sizeWords(found);
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
