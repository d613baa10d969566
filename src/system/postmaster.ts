import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../errors.ts';
import { describeHelper, isServerProgram, roleOf, type ServerRole } from '../postgres/server-process.ts';
import { systemErrorCode } from './durable.ts';
import { isProcessAlive, ownerOf, pidsWorkingIn, programOf, titleOf, worksIn } from './processes.ts';

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
  | {
      readonly kind: 'unclear';
      readonly reason: string;
      /** Only processes that serve no client are left of a killed server: they end without a word of anybody. */
      readonly endsByItself?: boolean;
    };

/** All processes of a server, by their working directory: PostgreSQL's all sit in the data directory. */
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

/** Processes that the pid file does not show: what outlived a killed postmaster, or a server that another namespace has started. */
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
 * Whether the pid file's process is a server of this directory. In another pid namespace that number is another process, and a
 * number may have been given to another program since.
 */
async function isItsPostmaster(pid: number, pgdata: string): Promise<boolean> {
  const where = await worksIn(pid, pgdata);
  if (where !== 'hidden') return where === 'there';
  // PostgreSQL runs as the owner of its data directory, and its name can always be read.
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
  // A stand-alone backend writes its pid negative.
  const pid = Math.abs(Number(lines[0]));
  if (!Number.isInteger(pid) || pid === 0)
    return { kind: 'unclear', reason: `${path} holds no pid: "${lines[0] ?? ''}"` };
  if (isProcessAlive(pid) && (await isItsPostmaster(pid, pgdata))) return describe(pid, lines);
  return (await unnamed(pgdata)) ?? { kind: 'stale', pid };
}
