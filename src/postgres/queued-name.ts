/**
 * The names of the files in a queue. A segment may lie there as a frame: compressed by zstd, with a suffix behind its name.
 * The same segment may be there in both forms. Pure.
 */
import { compareWalNames, parseWalName, type WalName } from './wal-name.ts';

export const frameSuffix = '.zst';

export interface QueuedName {
  readonly name: WalName;
  readonly isFrame: boolean;
}

/** Undefined for a file that is no WAL. Only segments are compressed. */
export function parseQueuedName(fileName: string): QueuedName | undefined {
  const isFrame = fileName.endsWith(frameSuffix);
  const name = parseWalName(isFrame ? fileName.slice(0, -frameSuffix.length) : fileName);
  if (name.kind === 'not-wal' || (isFrame && name.kind !== 'segment')) return undefined;
  return { name, isFrame };
}

export function fileNameOf({ name, isFrame }: QueuedName): string {
  return isFrame ? `${name.text}${frameSuffix}` : name.text;
}

/** The WAL files among the names in a queue, in the order in which they are sent; of two forms, the plain one first. */
export function queuedAmong(fileNames: readonly string[]): readonly QueuedName[] {
  return fileNames
    .map(parseQueuedName)
    .filter((queued) => queued !== undefined)
    .sort((a, b) => compareWalNames(a.name, b.name) || Number(a.isFrame) - Number(b.isFrame));
}
