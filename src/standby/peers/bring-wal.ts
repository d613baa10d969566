/**
 * Brings the end of a stopped primary's WAL into this host's pg_wal, where only this recovery reads it. The last segment
 * is unfinished, and must never be in archivedir under its name: if the primary is put back into service, it continues in that
 * segment, and archives other bytes under the same name.
 */
import { join } from 'node:path';
import { PitrError } from '../../errors.ts';
import {
  firstLsnOf,
  listSegments,
  parseLsn,
  segmentContaining,
  segmentEndingAt,
} from '../../postgres/lsn.ts';
import type { SegmentName } from '../../postgres/wal-name.ts';
import { fsyncPath } from '../../system/durable.ts';
import { chmod, removeFile, rename } from '../../system/files.ts';
import { requireProgram } from '../../system/find-program.ts';
import { remotePath, rsyncCommand, rsyncEnvironment, rsyncOutcome } from '../../system/rsync.ts';
import type { RemoteShell } from '../../system/ssh.ts';
import type { Shutdown } from '../../verbs/verbs.ts';
import { readSegmentStart } from '../archive/arrival.ts';
import { faultOf } from '../archive/judge.ts';
import { readOneRecord } from '../archive/read-records.ts';
import type { Server } from '../server/server.ts';
import { serverModes } from '../server/server-modes.ts';

/** A server removes files of this name when it starts. */
const temporaryName = 'xlogtemp.pitrtools';

/** The slowest acceptable link, and the shortest limit. */
const bytesPerMs = 32;
const leastMs = 60_000;

export interface WalEnd {
  readonly shutdown: Shutdown;
  /** pg_wal there. */
  readonly directory: string;
  readonly systemIdentifier: string;
  readonly segmentSize: number;
}

async function transfer(
  { deps }: Server,
  shell: RemoteShell,
  { directory, segmentSize }: WalEnd,
  name: SegmentName,
  target: string,
): Promise<void> {
  const { settings } = deps;
  const rsync = await requireProgram('rsync', settings.rsync, settings.includepath);
  const program = { rsync, flags: settings.rsync_flags, version: 3 } as const;
  const command = rsyncCommand(shell, program, settings.ssh_timeout, [
    '--ignore-times',
    // The program of a restricted key knows the directory without links, and follows none below it.
    ...(shell.served === undefined ? ['--copy-links'] : []),
    '--whole-file',
    `${remotePath(shell, program, directory)}/${name.text}`,
    target,
  ]);
  const limitMs = leastMs + Math.ceil(segmentSize / bytesPerMs);
  const outcome = rsyncOutcome(
    await deps.run(command, { limitMs, env: rsyncEnvironment(program), signal: deps.signal }),
  );
  if ('reason' in outcome) throw new PitrError(`cannot bring "${directory}/${name.text}": ${outcome.reason}`);
}

async function judge(path: string, name: SegmentName, wal: WalEnd): Promise<void> {
  const start = await readSegmentStart(path);
  const { systemIdentifier, segmentSize } = wal;
  const fault =
    start === undefined
      ? 'it did not arrive'
      : faultOf({ name, start }, { systemIdentifier, segmentSize, histories: new Map() });
  if (fault !== undefined)
    throw new PitrError(`segment ${name.text} of the old primary is not usable: ${fault}`);
}

/** The record of the last checkpoint must be whole in what was brought, if it is not continued in the next segment. */
async function judgeLast(server: Server, path: string, name: SegmentName, wal: WalEnd): Promise<void> {
  const { checkpoint, end } = wal.shutdown;
  const [from, to] = [parseLsn(checkpoint), parseLsn(end)];
  if (from < firstLsnOf(name, wal.segmentSize)) return;
  const read = await readOneRecord([{ name, path }], from, server.deps.signal);
  if (read.kind === 'read' && read.end === to) return;
  if (to > firstLsnOf(name, wal.segmentSize) + BigInt(wal.segmentSize)) return;
  throw new PitrError(
    `segment ${name.text} of the old primary does not hold its last checkpoint, at ${checkpoint}`,
  );
}

async function bringSegment(
  server: Server,
  shell: RemoteShell,
  name: SegmentName,
  wal: WalEnd,
): Promise<void> {
  const { pgdata, capabilities } = server;
  const directory = join(pgdata, capabilities.walDirName);
  const temporary = join(directory, temporaryName);
  try {
    await removeFile(temporary);
    await transfer(server, shell, wal, name, temporary);
    await judge(temporary, name, wal);
    await judgeLast(server, temporary, name, wal);
    await chmod(temporary, (await serverModes(pgdata)).file);
    await fsyncPath(temporary);
    await rename(temporary, join(directory, name.text));
    await fsyncPath(directory);
  } finally {
    await removeFile(temporary);
  }
}

/**
 * From the segment that is being replayed on to the last one. The primary is stopped: nobody streams into these files.
 *
 * @returns the names of the segments
 */
export async function bringWalEnd(
  server: Server,
  shell: RemoteShell,
  replayed: bigint,
  wal: WalEnd,
): Promise<readonly string[]> {
  const { timeline, end } = wal.shutdown;
  const layout = {
    segmentSize: wal.segmentSize,
    walSegmentSkipsFF: server.capabilities.walSegmentSkipsFF,
  };
  const first = segmentContaining(timeline, replayed, layout);
  const last = segmentEndingAt(timeline, parseLsn(end), layout);
  const names = listSegments(first, last, layout);
  for (const name of names) {
    server.deps.signal.throwIfAborted();
    await bringSegment(server, shell, name, wal);
  }
  return names.map(({ text }) => text);
}
