import { readFile, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../errors.ts';
import { systemErrorCode } from './durable.ts';
import { isProcessAlive, processesWorkingIn, workingDirectoryOf } from './processes.ts';

/** Whether a server runs on a data directory, from its postmaster.pid and the processes that work there. */
export type Postmaster =
  | { readonly kind: 'none' }
  | { readonly kind: 'stale'; readonly pid: number }
  | {
      readonly kind: 'running';
      readonly pid: number;
      /** From 9.1 on the file tells them. */
      readonly port: number | undefined;
      readonly socketDirectory: string | undefined;
      readonly listenAddress: string | undefined;
    }
  /** It cannot be told. Never take this for "not running". */
  | { readonly kind: 'unclear'; readonly reason: string };

const serverPrograms = ['postgres', 'postmaster'];

/** All processes of a server, by their working directory. */
export function serverProcesses(pgdata: string): Promise<readonly number[]> {
  return processesWorkingIn(pgdata, serverPrograms);
}

async function orphans(pgdata: string): Promise<Postmaster | undefined> {
  const pids = await serverProcesses(pgdata);
  if (pids.length === 0) return undefined;
  return {
    kind: 'unclear',
    reason: `server processes without a postmaster.pid still work in ${pgdata}: ${pids.join(', ')}`,
  };
}

async function isOtherProcess(pid: number, pgdata: string): Promise<boolean> {
  const cwd = await workingDirectoryOf(pid);
  // A postmaster sits in its data directory: a pid that was given to another program since does not.
  return cwd !== undefined && cwd !== (await realpath(pgdata));
}

/** Lines of postmaster.pid: pid, data directory, start time, port, socket directory, listen address (9.1 and later). */
function describe(pid: number, lines: readonly string[]): Postmaster {
  const port = Number(lines[3]);
  const socketDirectory = lines[4]?.trim() ?? '';
  const listenAddress = lines[5]?.trim() ?? '';
  return {
    kind: 'running',
    pid,
    port: Number.isInteger(port) && port > 0 ? port : undefined,
    socketDirectory: socketDirectory === '' ? undefined : socketDirectory,
    listenAddress: listenAddress === '' ? undefined : listenAddress,
  };
}

export async function readPostmaster(pgdata: string): Promise<Postmaster> {
  const path = join(pgdata, 'postmaster.pid');
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return (await orphans(pgdata)) ?? { kind: 'none' };
    return { kind: 'unclear', reason: `cannot read ${path}: ${messageOf(error)}` };
  }
  const lines = text.split('\n');
  // A stand-alone backend writes its pid negative.
  const pid = Math.abs(Number(lines[0]));
  if (!Number.isInteger(pid) || pid === 0)
    return { kind: 'unclear', reason: `${path} holds no pid: "${lines[0] ?? ''}"` };
  if (isProcessAlive(pid) && !(await isOtherProcess(pid, pgdata))) return describe(pid, lines);
  return (await orphans(pgdata)) ?? { kind: 'stale', pid };
}
