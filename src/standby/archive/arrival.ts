import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, PitrError } from '../../errors.ts';
import { longHeaderBytes, parseWalHeader } from '../../postgres/wal-header.ts';
import { parseWalName, type SegmentName } from '../../postgres/wal-name.ts';
import { systemErrorCode } from '../../system/durable.ts';
import { faultOf } from './judge.ts';

export interface SegmentStart {
  readonly bytes: Uint8Array;
  readonly size: number;
  readonly header: ReturnType<typeof parseWalHeader>;
}

/** The first page header of a file and its size; undefined if the file does not exist. */
export async function readSegmentStart(path: string): Promise<SegmentStart | undefined> {
  try {
    const handle = await open(path, 'r');
    try {
      const bytes = new Uint8Array(longHeaderBytes);
      const { bytesRead } = await handle.read(bytes, 0, longHeaderBytes, 0);
      const { size } = await handle.stat();
      return { bytes, size, header: parseWalHeader(bytes.subarray(0, bytesRead)) };
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw new PitrError(`cannot read "${path}"`, { detail: messageOf(error), cause: error });
  }
}

/** The file that archivedir holds under a segment's name. */
export type Arrival =
  | { readonly kind: 'missing' }
  /** Still being copied, by a program that copies to the final name. */
  | { readonly kind: 'short' }
  | { readonly kind: 'whole' }
  | { readonly kind: 'wrong'; readonly reason: string };

export async function arrivalOf(
  archivedir: string,
  name: SegmentName,
  cluster: { readonly systemIdentifier: string; readonly segmentSize: number },
): Promise<Arrival> {
  const start = await readSegmentStart(join(archivedir, name.text));
  if (start === undefined) return { kind: 'missing' };
  if (start.size < cluster.segmentSize) return { kind: 'short' };
  // The first segment after a promotion has the previous timeline in its header; its history file may come later.
  const fault = faultOf({ name, start }, { ...cluster, histories: new Map() });
  return fault === undefined ? { kind: 'whole' } : { kind: 'wrong', reason: fault };
}

/** A segment in a directory that none of these clusters wrote. */
export async function findForeignSegment(
  directory: string,
  systemIdentifiers: readonly string[],
): Promise<string | undefined> {
  const names = (await readdir(directory)).map(parseWalName).filter((name) => name.kind === 'segment');
  for (const { text: name } of names) {
    const start = await readSegmentStart(join(directory, name));
    if (start?.header.kind !== 'header') continue;
    if (!systemIdentifiers.includes(start.header.systemIdentifier)) return name;
  }
  return undefined;
}
