import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { PitrError } from '../errors.ts';
import { formatLeft, type LeftTimeline, parseLeft } from '../postgres/left-timeline.ts';
import { ensureDirectory, exists, readIfExists, removeDurably, writeDurably } from './durable.ts';
import { quoted } from './printable.ts';

/**
 * The timelines that this host, as the primary, declares left: its archiver informs each standby at the first hello, as
 * far as the history of the server confirms them. A failover that took the role writes the file; a base backup, which
 * makes this host a standby again, removes it. In `l_archivedir/.archiver`.
 */
export function leftMarksFile(lArchivedir: string): string {
  return join(lArchivedir, '.archiver', 'left_timelines');
}

/** Throws if the file has a line that is no mark: without it, WAL of a left timeline might be accepted. */
export async function readLeftMarks(lArchivedir: string): Promise<readonly LeftTimeline[]> {
  const content = await readIfExists(leftMarksFile(lArchivedir));
  const lines = (content?.toString('utf8') ?? '').split('\n').filter((line) => line !== '');
  return lines.map((line) => {
    const mark = parseLeft(line);
    if (mark !== undefined) return mark;
    throw new PitrError(`cannot understand "${leftMarksFile(lArchivedir)}"`, {
      detail: `Its line "${quoted(line, 100)}" is not "TIMELINE LSN HOST".`,
      hint: 'Correct that line: the history file of the present timeline in pg_wal has the timelines and locations.',
    });
  });
}

/** Another text each time the file was written or removed; undefined as long as there is none. */
export async function leftMarksVersion(lArchivedir: string): Promise<string | undefined> {
  const found = await stat(leftMarksFile(lArchivedir), { bigint: true }).catch(() => undefined);
  return found && `${found.ino} ${found.size} ${found.mtimeNs} ${found.ctimeNs}`;
}

export async function writeLeftMarks(lArchivedir: string, marks: readonly LeftTimeline[]): Promise<void> {
  await ensureDirectory(join(lArchivedir, '.archiver'));
  await writeDurably(leftMarksFile(lArchivedir), marks.map((mark) => `${formatLeft(mark)}\n`).join(''));
}

/** Removes the file, if there is one. It is not read: a standby has no use for what it says. */
export async function removeLeftMarks(lArchivedir: string): Promise<void> {
  if (await exists(leftMarksFile(lArchivedir))) await removeDurably(leftMarksFile(lArchivedir));
}
