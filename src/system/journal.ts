/**
 * A record of events for people: a file with one JSON object per line, which only grows, until it is set aside and the
 * one that was set aside before is removed. Nothing decides by it, and nothing of it is flushed: the last lines may be
 * lost with the host, and a line that is torn or foreign is refused at reading, with its number.
 */
import { open, rename, stat } from 'node:fs/promises';
import { messageOf } from '../errors.ts';
import { exists, readIfExists, sizeOf } from './durable.ts';
import { appendPrivately } from './files.ts';
import { type Checked, checkFields, type Fields, is } from './json.ts';

/** Two files of this size exist at most, and the line that makes one longer. */
export const journalBytes = 256 * 1024;

const lineFeed = 0x0a;
/** A file is set aside once in thousands of entries. */
const mostTries = 3;

function olderJournal(path: string): string {
  return `${path}.1`;
}

/** A process that was killed, or a full disk, can leave half a line: the next one must not be joined to it. */
async function endsTorn(path: string, size: number): Promise<boolean> {
  const handle = await open(path, 'r');
  try {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(1), 0, 1, size - 1);
    return bytesRead === 1 && buffer[0] !== lineFeed;
  } finally {
    await handle.close();
  }
}

/** The first line of a journal of which an older part was removed. */
const cutKind = 'cut';

async function setAside(path: string, at: string): Promise<void> {
  const older = olderJournal(path);
  const losesOlder = await exists(older);
  await rename(path, older);
  if (losesOlder) await appendPrivately(path, `${JSON.stringify({ at, kind: cutKind })}\n`);
}

/**
 * Appends entries with one write. Only one process may do so at a time.
 *
 * @param at now, in ISO 8601
 */
export async function appendToJournal(path: string, entries: readonly object[], at: string): Promise<void> {
  if (entries.length === 0) return;
  let size = await sizeOf(path);
  if (size >= journalBytes) {
    await setAside(path, at);
    size = await sizeOf(path);
  }
  const begin = size > 0 && (await endsTorn(path, size)) ? '\n' : '';
  await appendPrivately(path, begin + entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''));
}

/** A line that is not in our form. */
export interface RefusedLine {
  readonly file: string;
  readonly line: number;
  readonly reason: string;
}

export interface Journal<T> {
  /** Oldest first. */
  readonly entries: readonly T[];
  readonly refused: readonly RefusedLine[];
  /** Older entries were removed. */
  readonly isCut: boolean;
}

/** The time of an entry: a date of ISO 8601. */
export const isTime = (value: unknown): value is string =>
  typeof value === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(value);

const cutFields = { at: isTime, kind: is.oneOf(cutKind) };

function isCutLine(value: unknown): boolean {
  return is.object(cutFields)(value);
}

/** Setting aside changes it. */
async function inodeOf(path: string): Promise<bigint | undefined> {
  return (await stat(path, { bigint: true }).catch(() => undefined))?.ino;
}

/** Both files, the older one first. One that is set aside between two reads would be in neither. */
async function readBoth(path: string): Promise<readonly (readonly [file: string, text: string])[]> {
  const older = olderJournal(path);
  const read = async (file: string) => [file, (await readIfExists(file))?.toString('utf8') ?? ''] as const;
  for (let tries = 1; ; tries++) {
    const before = await inodeOf(older);
    const both = [await read(older), await read(path)];
    if (tries === mostTries || (await inodeOf(older)) === before) return both;
  }
}

/** Reads both files. `parse` throws for a value that is no entry; see `entryOf`. */
export async function readJournal<T>(path: string, parse: (value: unknown) => T): Promise<Journal<T>> {
  const entries: T[] = [];
  const refused: RefusedLine[] = [];
  let isCut = false;
  for (const [file, text] of await readBoth(path)) {
    for (const [index, line] of text.split('\n').entries()) {
      if (line === '') continue;
      try {
        const value: unknown = JSON.parse(line);
        if (isCutLine(value)) isCut = true;
        else entries.push(parse(value));
      } catch (error) {
        refused.push({ file, line: index + 1, reason: messageOf(error) });
      }
    }
  }
  return { entries, refused, isCut };
}

/** Reads an entry by the fields that belong to its kind. */
export function entryOf<Kinds extends Readonly<Record<string, Fields>>>(
  kinds: Kinds,
  value: unknown,
): { readonly [Kind in keyof Kinds]: { readonly kind: Kind } & Checked<Kinds[Kind]> }[keyof Kinds] {
  const { kind } = checkFields(value, { kind: is.text });
  const fields = Object.hasOwn(kinds, kind) ? kinds[kind] : undefined;
  if (fields === undefined) throw new Error(`its kind is unknown: "${kind}"`);
  // The fields are those of this kind; the compiler cannot see that `kind` chose them.
  return checkFields(value, { kind: is.text, ...fields }) as never;
}
