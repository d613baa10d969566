import { closeSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../../errors.ts';
import type { PageLayout } from '../../postgres/control-file.ts';
import { pageLsn, pageState, type PageView, viewPage } from '../../postgres/page-checksum.ts';
import type { RelationFile } from './relation-files.ts';

/** A page that the server would refuse in its present state. */
export interface BadPage {
  readonly file: RelationFile;
  /** Number of the page in its relation: `.1` continues where the file before it ends. */
  readonly block: number;
  /** The LSN in the page, which may itself be damaged; 0 for an incomplete page. */
  readonly lsn: bigint;
  /** Fewer bytes than a page, at the end of its file. */
  readonly isPartial: boolean;
}

export interface FileCheck {
  readonly pages: number;
  readonly bytes: number;
  readonly bad: readonly BadPage[];
  /** The reason why the file could not be read to its end. */
  readonly trouble: string | undefined;
}

/** Bytes that are read at once: enough for the disk, few enough for the processor's cache. */
const chunkBytes = 1024 * 1024;

/** Memory that is used for file after file. */
export interface CheckBuffer {
  readonly bytes: Uint8Array;
  readonly pages: readonly PageView[];
}

export function makeBuffer({ blockSize }: PageLayout): CheckBuffer {
  const bytes = new Uint8Array(chunkBytes);
  const views = Array.from({ length: chunkBytes / blockSize }, (_, index) =>
    viewPage(bytes.buffer, index * blockSize, blockSize),
  );
  return { bytes, pages: views };
}

/** A read may return less than requested, even in the middle of a file. */
function fill(fd: number, bytes: Uint8Array): number {
  let length = 0;
  while (length < bytes.length) {
    const read = readSync(fd, bytes, length, bytes.length - length, null);
    if (read === 0) break;
    length += read;
  }
  return length;
}

interface Count {
  pages: number;
  bytes: number;
  readonly bad: BadPage[];
}

/** Checks the contents of the buffer; its last page may be incomplete. */
function checkChunk(
  file: RelationFile,
  layout: PageLayout,
  buffer: CheckBuffer,
  length: number,
  count: Count,
): void {
  const firstBlock = file.segment * layout.segmentBlocks + count.pages;
  const whole = Math.floor(length / layout.blockSize);
  for (let index = 0; index < whole; index += 1) {
    const page = buffer.pages[index];
    if (page === undefined || pageState(page, firstBlock + index) !== 'bad') continue;
    count.bad.push({ file, block: firstBlock + index, lsn: pageLsn(page), isPartial: false });
  }
  if (length > whole * layout.blockSize)
    count.bad.push({ file, block: firstBlock + whole, lsn: 0n, isPartial: true });
  count.pages += whole;
  count.bytes += length;
}

/** Reads a file of the copy once and checks every page. Blocks its thread. */
export function checkFile(
  pgdata: string,
  file: RelationFile,
  layout: PageLayout,
  buffer: CheckBuffer,
): FileCheck {
  const count: Count = { pages: 0, bytes: 0, bad: [] };
  try {
    const fd = openSync(join(pgdata, file.path), 'r');
    try {
      for (let length = chunkBytes; length === chunkBytes;) {
        length = fill(fd, buffer.bytes);
        checkChunk(file, layout, buffer, length, count);
      }
    } finally {
      closeSync(fd);
    }
    return { ...count, trouble: undefined };
  } catch (error) {
    return { ...count, trouble: messageOf(error) };
  }
}
