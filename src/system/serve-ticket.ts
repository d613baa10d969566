/**
 * Proofs that a command line of rsync was read and allowed: Node reads the first one of a connection, and bin/cmd_standby
 * takes the next ones without Node if they are the same to the letter. A ticket that is missing costs time only.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { replacePrivately, unlink } from './files.ts';
import { printable } from './printable.ts';
import { ownSharedDirectory } from './private-directory.ts';

const folder = 'serve';
/** A client changes its options now and then, such as the level of compression. */
const mostLines = 4;

export interface Ticket {
  /** A plain name. */
  readonly lane: string;
  /** SSH_ORIGINAL_COMMAND as it was allowed. */
  readonly line: string;
  readonly iniFile: string;
  readonly archivedir: string;
  readonly rsync: string;
}

export async function leaveTicket({ lane, line, iniFile, archivedir, rsync }: Ticket): Promise<void> {
  const head = [iniFile, archivedir, rsync];
  if ([...head, line].some((text) => text.includes('\n') || printable(text) !== text)) return;
  const directory = await ownSharedDirectory(folder);
  if (directory === undefined) return;
  const path = join(directory, lane);
  const before = (await readTicket(path)).slice(head.length);
  const inbox = line.slice(line.lastIndexOf(' '));
  const kept = before.filter((each) => each.endsWith(inbox) && each !== line).slice(1 - mostLines);
  await replacePrivately(path, `${[...head, ...kept, line].join('\n')}\n`).catch(() => undefined);
}

/** The INI file, the archive, rsync, and each line that was allowed. */
async function readTicket(path: string): Promise<readonly string[]> {
  return (await readFile(path, 'utf8').catch(() => '')).split('\n').slice(0, -1);
}

/** Removes the ticket of this run, unless another connection has left one since. */
export async function takeTicketBack(lane: string, run: string): Promise<void> {
  const directory = await ownSharedDirectory(folder);
  if (directory === undefined) return;
  const path = join(directory, lane);
  const last = (await readTicket(path)).at(-1);
  if (last?.endsWith(`/${run}/`) === true) await unlink(path).catch(() => undefined);
}
