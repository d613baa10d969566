import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PitrError } from '../../errors.ts';
import { parseWalName } from '../../postgres/wal-name.ts';
import { readIfExists, removeDurably } from '../../system/durable.ts';
import type { ArchivedEnd } from '../archive/replay-check.ts';
import { writeForServer } from '../server/server-modes.ts';

/**
 * A standby that is being promoted opens as soon as its restore_command fails to bring a file. As long as this file is
 * in pgdata, `bin/cmd_standby --restore` waits when the archive has a problem, and finally ends the server. Its line:
 *
 * PID START [LAST-SEGMENT SEGMENT-SIZE]
 *
 * The first two are those of postmaster.pid: the file does not affect a server that is started later.
 */
const guardName = 'pitrtools-promoting';

/** A promotion that was begun and not completed. */
export interface Guard {
  /** The postmaster of the server that was promoted. */
  readonly pid: number;
  /** The end of the WAL that the server must have replayed when it opens; undefined if all of it was replayed before. */
  readonly end: ArchivedEnd | undefined;
}

export async function readGuard(pgdata: string): Promise<Guard | undefined> {
  const text = await readIfExists(join(pgdata, guardName));
  if (text === undefined) return undefined;
  const [pid, , name = '', size] = text.toString('utf8').trim().split(' ');
  const last = parseWalName(name);
  const end = last.kind === 'segment' ? { last, segmentSize: Number(size) } : undefined;
  return { pid: Number(pid), end };
}

/** Writes the file for the running server, before the server is promoted. */
export async function writeGuard(pgdata: string, end: ArchivedEnd | undefined): Promise<void> {
  const [pid, , start] = (await readFile(join(pgdata, 'postmaster.pid'), 'utf8')).split('\n');
  if (pid === undefined || start === undefined)
    throw new PitrError(`cannot understand "${join(pgdata, 'postmaster.pid')}"`);
  const words = [pid.trim(), start.trim(), ...(end === undefined ? [] : [end.last.text, end.segmentSize])];
  await writeForServer(pgdata, join(pgdata, guardName), `${words.join(' ')}\n`);
}

export async function removeGuard(pgdata: string): Promise<void> {
  await removeDurably(join(pgdata, guardName));
}

/** While `bin/cmd_standby --restore` of a standby cannot read the archive, this file contains the reason. */
export async function restoreTrouble(pgdata: string): Promise<string | undefined> {
  const text = await readIfExists(join(pgdata, 'pitrtools-restore-trouble')).catch(() => undefined);
  return text?.toString('utf8').trim();
}
