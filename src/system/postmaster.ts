import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../errors.ts';
import { describeHelper, isServerProgram, roleOf, type ServerRole } from '../postgres/server-process.ts';
import { exists, systemErrorCode } from './durable.ts';
import { isProcessAlive, ownerOf, pidsWorkingIn, programOf, titleOf, worksIn } from './processes.ts';

/** Whether a server runs on a data directory, according to its postmaster.pid and the processes that work there. */
export type Postmaster =
  | { readonly kind: 'none' }
  | { readonly kind: 'stale'; readonly pid: number }
  | {
      readonly kind: 'running';
      readonly pid: number;
      /** Known from 9.1 on, when the file contains them. */
      readonly port: number | undefined;
      readonly socketDirectory: string | undefined;
      readonly listenAddress: string | undefined;
    }
  /** It cannot be determined. Never treat this as "not running". */
  | {
      readonly kind: 'unclear';
      readonly reason: string;
      /** The server was killed, and only processes are left that serve no client: they end by themselves. */
      readonly endsByItself?: boolean;
    };

/** All processes of a server, found by their working directory, which is always the data directory. */
export async function serverProcesses(pgdata: string): Promise<readonly number[]> {
  const found: number[] = [];
  for (const pid of await pidsWorkingIn(pgdata)) if (isServerProgram(await programOf(pid))) found.push(pid);
  return found;
}

async function describeProcess(pid: number): Promise<{ role: ServerRole; text: string }> {
  const title = await titleOf(pid);
  const role = roleOf({ title });
  const text = role === 'helper' ? describeHelper({ pid, state: '', title }) : `pid ${pid}`;
  return { role, text };
}

/**
 * Processes that the pid file does not show: survivors of a killed postmaster, or a server that was started in
 * another namespace.
 */
async function unnamed(pgdata: string): Promise<Postmaster | undefined> {
  const processes = await Promise.all((await serverProcesses(pgdata)).map(describeProcess));
  if (processes.length === 0) return undefined;
  const postmaster = processes.find(({ role }) => role === 'postmaster');
  const reason =
    postmaster === undefined
      ? `server processes without a postmaster still work in ${pgdata}: ${processes.map(({ text }) => text).join(', ')}`
      : `a server that its postmaster.pid does not name runs on ${pgdata} (${postmaster.text} here): started in a container, perhaps`;
  return { kind: 'unclear', reason, endsByItself: processes.every(({ role }) => role === 'helper') };
}

/**
 * Whether the process in the pid file is a server of this directory. In another pid namespace that number is another
 * process, and a number may have been reused since.
 */
async function isItsPostmaster(pid: number, pgdata: string): Promise<boolean> {
  const where = await worksIn(pid, pgdata);
  if (where !== 'hidden') return where === 'there';
  // PostgreSQL runs as the owner of its data directory, and the name of its process can always be read.
  if (!isServerProgram(await programOf(pid))) return false;
  return (await ownerOf(`/proc/${pid}`)) === (await ownerOf(pgdata));
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
    if (code === 'ENOENT' || code === 'ENOTDIR') return (await unnamed(pgdata)) ?? { kind: 'none' };
    return { kind: 'unclear', reason: `cannot read ${path}: ${messageOf(error)}` };
  }
  const lines = text.split('\n');
  // A stand-alone backend writes its pid as a negative number.
  const pid = Math.abs(Number(lines[0]));
  if (!Number.isInteger(pid) || pid === 0)
    return { kind: 'unclear', reason: `${path} holds no pid: "${lines[0] ?? ''}"` };
  if (isProcessAlive(pid) && (await isItsPostmaster(pid, pgdata))) return describe(pid, lines);
  return (await unnamed(pgdata)) ?? { kind: 'stale', pid };
}

/** The data directories of the servers that run on this host, as far as we may look into their processes. */
export async function runningDataDirectories(): Promise<readonly string[]> {
  const found = new Set<string>();
  for (const entry of await readdir('/proc').catch(() => [])) {
    if (!/^\d+$/.test(entry) || !isServerProgram(await programOf(Number(entry)))) continue;
    const directory = await readlink(`/proc/${entry}/cwd`).catch(() => undefined);
    if (directory !== undefined && (await exists(join(directory, 'postmaster.pid')).catch(() => false)))
      found.add(directory);
  }
  return [...found].sort();
}
