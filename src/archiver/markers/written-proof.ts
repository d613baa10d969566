import { join } from 'node:path';
import { messageOf, PitrError } from '../../errors.ts';
import { exists, readIfExists, systemErrorCode } from '../../system/durable.ts';
import { mkdir, moveIfThere, removeFile, writePrivately } from '../../system/files.ts';
import type { FileIdentity } from '../wal/wal-file.ts';
import type { ShipperPlaces } from './places.ts';

function textOf({ device, inode, size, mtimeNs }: FileIdentity): string {
  return `device ${device} inode ${inode} size ${size} mtime ${mtimeNs}\n`;
}

export function writtenStampOf(places: ShipperPlaces): string {
  return join(places.written, 'stamp');
}

/**
 * If no file can have another one's exact time (a file system with coarser times, a cp other than GNU's), the proof
 * is written as text, first in place of the file that was to have the time. The launcher cannot read that, so
 * archive_command starts Node each time.
 *
 * @returns whether it exists: it does not if markers are withdrawn at this moment
 */
export async function writeProof(
  places: ShipperPlaces,
  made: string,
  path: string,
  identity: FileIdentity,
): Promise<boolean> {
  try {
    await removeFile(made);
    await writePrivately(made, textOf(identity));
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false;
    throw new PitrError(`cannot write "${made}"`, { detail: messageOf(error), cause: error });
  }
  await mkdir(places.written, { recursive: true, mode: 0o700 });
  return moveIfThere(made, path);
}

/** The reason why a proof has to be written as text. */
export async function findFlaw(made: string, complaint: string | undefined): Promise<string> {
  const inexact = 'l_archivedir cannot keep the times of files exactly';
  return complaint === undefined || (await exists(made)) ? inexact : complaint;
}

export async function provesInWriting(written: string, identity: FileIdentity): Promise<boolean> {
  return (await readIfExists(written))?.toString('utf8') === textOf(identity);
}
