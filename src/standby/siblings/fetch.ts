import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import type { ArchiverSettings, StandbyTarget } from '../../config/options-archiver.ts';
import { messageOf, PitrError } from '../../errors.ts';
import { describeResult, succeeded } from '../../system/command.ts';
import { ensureDirectory, exists, fsyncPath, linkDurably } from '../../system/durable.ts';
import { removeTree } from '../../system/files.ts';
import { requireProgram } from '../../system/find-program.ts';
import { quoted } from '../../system/printable.ts';
import {
  remotePath,
  rsyncCommand,
  rsyncEnvironment,
  rsyncOutcome,
  type RsyncProgram,
} from '../../system/rsync.ts';
import { haveSameContent } from '../../system/same-content.ts';
import { shellQuote } from '../../system/shell-quote.ts';
import { refusalOf, type RemoteShell } from '../../system/ssh.ts';
import { archiveWork } from '../../verbs/archive-requests.ts';
import { readSegmentStart } from '../archive/arrival.ts';
import { type Cluster, faultOf } from '../archive/judge.ts';
import type { StandbyDeps } from '../deps.ts';
import { withSibling } from './ask.ts';
import type { Fetch } from './compare.ts';

/** Private to us, in archivedir: a file gets its name there by a link. An earlier run that was killed may have left it. */
const workName = '.fetching';

/** The names of one request are an argument of ssh, which Linux limits to 128 KiB. */
const mostNames = 1000;

/** The slowest acceptable link, and the shortest limit. */
const bytesPerMs = 32;
const leastMs = 60_000;

async function rsyncOf(archiver: ArchiverSettings, { rsync_flags }: StandbyTarget): Promise<RsyncProgram> {
  const rsync = await requireProgram('rsync_bin', archiver.rsync_bin, archiver.includepath);
  return { rsync, flags: rsync_flags, version: archiver.rsync_version === 2 ? 2 : 3 };
}

/** The request for segments there, and the script for the same. */
function workFor(
  name: 'segment-identities' | 'send-segments',
  { target, directory, names }: Source,
): { readonly script: string; readonly request: string } {
  const where = directory === target.r_archivedir ? 'archive' : 'pg_wal';
  return archiveWork(name, { archivedir: target.r_archivedir, walDirectory: directory }, { where, names });
}

/** Facts that would change if a server replaced or recycled one of the files. */
async function fingerprints(
  shell: RemoteShell,
  source: Source,
  limitMs: number,
): Promise<ReadonlyMap<string, string>> {
  const answer = await shell.run(workFor('segment-identities', source), { limitMs });
  if (answer.kind === 'lost') throw new PitrError(answer.reason);
  const refusal = refusalOf(answer);
  if (refusal !== undefined) throw new PitrError(refusal);
  return new Map(answer.lines.map((line) => [line.slice(0, 24), line]));
}

interface Source {
  readonly target: StandbyTarget;
  readonly directory: string;
  readonly names: readonly string[];
}

async function transferByRsync(
  deps: StandbyDeps,
  archiver: ArchiverSettings,
  { target, directory, names }: Source,
  shell: RemoteShell,
  work: string,
  limitMs: number,
): Promise<void> {
  const rsync = await rsyncOf(archiver, target);
  const command = rsyncCommand(shell, rsync, target.ssh_timeout, [
    '--times',
    '--ignore-times',
    '--copy-links',
    '--from0',
    '--files-from=-',
    `${remotePath(shell, rsync, directory)}/`,
    `${await realpath(work)}/`,
  ]);
  const input = names.map((name) => `./${name}\0`).join('');
  const result = await deps.run(command, {
    limitMs,
    input,
    env: rsyncEnvironment(rsync),
    signal: deps.signal,
    heldFds: deps.lockFd === undefined ? [] : [deps.lockFd],
  });
  const outcome = rsyncOutcome(result);
  // A file that is missing is seen below.
  if ('reason' in outcome && outcome.kind !== 'partial') throw new PitrError(outcome.reason);
}

/** Takes the bytes of one segment after the other from standard input. */
function splitScript(work: string, names: readonly string[], segmentSize: number): string {
  return `cd ${shellQuote(work)} || exit 1
"$@" </dev/null | { for f in ${names.join(' ')}; do head -c ${segmentSize} >"$f" || exit 1; done; cat >/dev/null; }`;
}

/** A restricted key starts no rsync that sends: it reads its orders from its client. A file that is missing is seen later. */
async function transferByRequest(
  deps: StandbyDeps,
  source: Source,
  shell: RemoteShell,
  work: string,
  segmentSize: number,
  limitMs: number,
): Promise<void> {
  const ssh = shell.requestCommand?.(workFor('send-segments', source).request);
  if (ssh === undefined) throw new PitrError('the connection takes no requests');
  const script = splitScript(await realpath(work), source.names, segmentSize);
  const result = await deps.run(
    { program: '/bin/sh', args: ['-c', script, 'sh', ssh.program, ...ssh.args] },
    { limitMs, signal: deps.signal, heldFds: deps.lockFd === undefined ? [] : [deps.lockFd] },
  );
  if (!succeeded(result)) throw new PitrError(describeResult(result));
}

/** Brings the bytes; no file has its name in the archive yet. Returns the names whose source did not change meanwhile. */
async function transfer(
  deps: StandbyDeps,
  archiver: ArchiverSettings,
  source: Source,
  shell: RemoteShell,
  { work, segmentSize, limitMs }: { work: string; segmentSize: number; limitMs: number },
): Promise<ReadonlySet<string>> {
  const { names } = source;
  const before = await fingerprints(shell, source, limitMs);
  if (shell.served === undefined) await transferByRsync(deps, archiver, source, shell, work, limitMs);
  else await transferByRequest(deps, source, shell, work, segmentSize, limitMs);
  const after = await fingerprints(shell, source, limitMs);
  return new Set(names.filter((name) => before.has(name) && before.get(name) === after.get(name)));
}

/** Gives a whole, judged and flushed file its name in the archive. Never replaces another file. */
async function store(archivedir: string, work: string, { name }: Fetch, cluster: Cluster): Promise<void> {
  const file = join(work, name.text);
  const start = await readSegmentStart(file);
  const fault = start === undefined ? 'it did not arrive' : faultOf({ name, start }, cluster);
  if (fault !== undefined) throw new PitrError(`segment ${name.text} from there is not usable: ${fault}`);
  await fsyncPath(file);
  const target = join(archivedir, name.text);
  if ((await linkDurably(file, target)) === 'linked' || (await haveSameContent(file, target))) return;
  throw new PitrError(`"${target}" exists meanwhile with other bytes; it was not replaced`);
}

function bySource(fetches: readonly Fetch[]): readonly (readonly Fetch[])[] {
  const groups = new Map<string, Fetch[]>();
  for (const fetch of fetches) {
    const key = `${fetch.from.name}\0${fetch.directory}`;
    groups.set(key, [...(groups.get(key) ?? []), fetch]);
  }
  return [...groups.values()].flatMap((group) =>
    Array.from({ length: Math.ceil(group.length / mostNames) }, (_none, index) =>
      group.slice(index * mostNames, (index + 1) * mostNames),
    ),
  );
}

async function fetchGroup(
  deps: StandbyDeps,
  archiver: ArchiverSettings,
  group: readonly Fetch[],
  cluster: Cluster,
  work: string,
): Promise<void> {
  const [first] = group;
  if (first === undefined) return;
  const { from: target, directory } = first;
  const names = group.map(({ name }) => name.text);
  const limitMs = leastMs + Math.ceil((group.length * cluster.segmentSize) / bytesPerMs);
  const used = await withSibling(deps, archiver, target, limitMs, async (shell) => {
    const source = { target, directory, names };
    const { segmentSize } = cluster;
    const kept = await transfer(deps, archiver, source, shell, { work, segmentSize, limitMs });
    for (const fetch of group) {
      if (!kept.has(fetch.name.text))
        throw new PitrError(`segment ${fetch.name.text} changed there while it was fetched`);
      await store(deps.settings.archivedir, work, fetch, cluster);
    }
  });
  if (used.kind !== 'used') throw new PitrError(quoted(used.reason));
}

/**
 * Brings segments that only other standbys have into this host's archive, from where the server replays them. Each was
 * judged by its first page, is flushed, and replaces nothing.
 */
export async function fetchSegments(
  deps: StandbyDeps,
  archiver: ArchiverSettings,
  fetches: readonly Fetch[],
  cluster: Cluster,
): Promise<void> {
  const work = join(deps.settings.archivedir, workName);
  if (await exists(work)) await removeTree(work);
  await ensureDirectory(work);
  try {
    for (const group of bySource(fetches)) {
      try {
        await fetchGroup(deps, archiver, group, cluster, work);
      } catch (error) {
        deps.signal.throwIfAborted();
        throw new PitrError(
          `cannot fetch WAL from standby ${group[0]?.from.name ?? ''}: ${messageOf(error)}`,
          { detail: error instanceof PitrError ? error.detail : undefined, cause: error },
        );
      }
    }
  } finally {
    await removeTree(work);
  }
}
