/**
 * The files that releases 1.3 and 1.4 leave in l_archivedir, which are taken over where they are. Both have the queues of
 * today, with plain WAL files. 1.4 has more: cmd_archiver puts each segment into l_archivedir itself, and a background
 * process, cmd_queue, moves it into the queues and sends these.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, PitrError, refusal } from '../../errors.ts';
import { append } from '../../lists.ts';
import { fileNameOf } from '../../postgres/queued-name.ts';
import { type WalName, walNamesAmong } from '../../postgres/wal-name.ts';
import { exists, fsyncPath, readIfExists, systemErrorCode } from '../../system/durable.ts';
import { removeFile, rename } from '../../system/files.ts';
import { isProcessAlive, titleOf } from '../../system/processes.ts';
import { sentinelName } from '../../system/sentinel.ts';
import type { ArchiverDeps } from '../deps.ts';
import type { Lane } from '../lane/lane.ts';
import { readLaneState } from '../lane/state.ts';
import type { Layout } from '../layout.ts';
import type { Cluster } from '../wal/cluster.ts';
import { checkWalFile, type WalFile, walFileAt } from '../wal/wal-file.ts';
import { enqueue } from './enqueue.ts';
import { plainCopy } from './local-copy.ts';
import { filesInQueue, type QueuedFile } from './queue.ts';
import { findDamage, requireFrameTools, withUnpacked } from './queued-frame.ts';

const pidFileName = 'cmd_queue.pid';

/** A sentence about a cmd_queue that runs, or that may run. A pid file of a process that has ended means nothing. */
async function findQueueProcess({ root }: Layout): Promise<{ message: string; pid: number } | undefined> {
  const path = join(root, pidFileName);
  const text = (await readIfExists(path))?.toString('utf8') ?? '';
  const pid = Number(/^\s*([1-9]\d{0,8})\s*$/.exec(text)?.[1]);
  if (!Number.isInteger(pid) || !isProcessAlive(pid)) return undefined;
  const title = await titleOf(pid);
  if (title.includes('cmd_queue'))
    return { pid, message: `cmd_queue of pitrtools 1.4 runs (pid ${pid}): it takes files out of the queues` };
  if (title !== '') return undefined;
  return {
    pid,
    message: `"${path}" names process ${pid}, and whether that is cmd_queue cannot be determined`,
  };
}

function endHint(pid: number): string {
  return `Set "state: offline" in the INI file, so that archive_command does not start it again; then end it (kill ${pid}), and run -I.`;
}

/** A queue that another program sends and empties proves nothing. */
export async function refuseQueueProcess(layout: Layout): Promise<void> {
  const found = await findQueueProcess(layout);
  if (found !== undefined) throw refusal(found.message, { hint: endHint(found.pid) });
}

/**
 * WAL files in l_archivedir itself. If this host's own archive is in the same directory, as in the how-to, they belong
 * there.
 */
async function listUnsorted({ root }: Layout): Promise<readonly WalName[]> {
  if (await exists(join(root, sentinelName))) return [];
  try {
    const entries = await readdir(root, { withFileTypes: true });
    return walNamesAmong(
      entries
        .filter((entry) => entry.isFile())
        .map(({ name }) => name)
        .sort(),
    );
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

const keyHint =
  'If cmd_queue of pitrtools 1.4 had not sent them yet, put its key back into the INI file ("queue_wait: 5") and run cmd_archiver -C FILE -I.';

/** For the check of the configuration. */
export async function mentionEarlierRelease({ layout, settings, log }: ArchiverDeps): Promise<void> {
  const found = await findQueueProcess(layout);
  if (found !== undefined) log.warning(found.message, { hint: endHint(found.pid) });
  const { length } = await listUnsorted(layout);
  if (length === 0) return;
  log.warning(`${layout.root} itself holds ${length} WAL files, which no standby gets`, {
    hint: settings.hasKeysOf14 ? 'Run cmd_archiver -C FILE -I: it puts them into the queues.' : keyHint,
  });
}

async function checkAndFlush(file: WalFile, cluster: Cluster, pgdata: string): Promise<void> {
  await checkWalFile(file, cluster, pgdata);
  await fsyncPath(file.path);
}

/** A file in a queue, and what is wrong with it. */
interface Queued {
  readonly standby: string;
  readonly queue: string;
  readonly file: QueuedFile;
  readonly problem: string | undefined;
}

/**
 * The problem of a file, if it has one. A frame is of this release, but the note of the cluster may be gone. Throws if this
 * host cannot unpack one that may be good.
 */
async function checkQueued(
  deps: ArchiverDeps,
  file: QueuedFile,
  cluster: Cluster,
): Promise<string | undefined> {
  const { pgdata } = deps.settings;
  const { name, path } = file;
  if (!file.isFrame) {
    const check = async () => checkAndFlush(await walFileAt(path, name), cluster, pgdata);
    return check().then(() => undefined, messageOf);
  }
  const damage = await findDamage(await requireFrameTools(deps, path), path);
  if (damage?.isCertain === true) return `"${path}" is damaged: ${damage.reason}`;
  let problem: string | undefined;
  await withUnpacked(deps, file, async (plain) => {
    const check = async () => checkWalFile(await walFileAt(plain, name), cluster, pgdata);
    problem = await check().then(() => undefined, messageOf);
  });
  await fsyncPath(path);
  return problem;
}

async function checkQueue(
  deps: ArchiverDeps,
  { queue, name: standby }: Lane,
  cluster: Cluster,
): Promise<readonly Queued[]> {
  const checked: Queued[] = [];
  for (const file of await filesInQueue(queue)) {
    checked.push({ standby, queue, file, problem: await checkQueued(deps, file, cluster) });
  }
  if (checked.length > 0) await fsyncPath(queue);
  return checked;
}

/** A file that is no WAL of this cluster would be sent like any other: it gets a name that is none of WAL. */
async function setAside({ queue, file, standby, problem }: Queued): Promise<string> {
  const aside = join(queue, `.${fileNameOf(file)}.unusable`);
  await rename(file.path, aside);
  await fsyncPath(queue);
  return `${problem ?? ''}; it is kept as "${aside}", and standby ${standby} does not get it`;
}

/**
 * Checks and flushes what waits in the queues of an earlier release, which flushed nothing: from now on a file there counts
 * as a safe copy. Call this before l_archivedir is pinned: if we are killed, the next -I does it again.
 */
export async function takeQueues(
  deps: ArchiverDeps,
  lanes: readonly Lane[],
  cluster: Cluster,
): Promise<readonly string[]> {
  const checked: Queued[] = [];
  for (const lane of lanes) append(checked, await checkQueue(deps, lane, cluster));
  const bad = checked.filter(({ problem }) => problem !== undefined);
  if (bad.length > 0 && bad.length === checked.length)
    throw refusal(
      `none of the ${bad.length} files in the queues of "${deps.layout.root}" is WAL of cluster ${cluster.systemIdentifier}`,
      {
        detail: bad[0]?.problem,
        hint: 'Check pgdata: and l_archivedir:. If these files are not needed, move them away.',
      },
    );
  const problems: string[] = [];
  for (const queued of bad) problems.push(await setAside(queued));
  return problems;
}

/** Does what cmd_queue would have done: a link in each queue, then the file itself goes. */
async function sort(
  deps: ArchiverDeps,
  lanes: readonly Lane[],
  cluster: Cluster,
  name: WalName,
): Promise<void> {
  const { root } = deps.layout;
  const { pgdata } = deps.settings;
  const file = await walFileAt(join(root, name.text), name);
  await checkAndFlush(file, cluster, pgdata);
  for (const lane of lanes) await enqueue(deps, plainCopy(file), lane);
  await removeFile(file.path);
}

async function listServed(lanes: readonly Lane[]): Promise<readonly Lane[]> {
  const states = await Promise.all(lanes.map(readLaneState));
  return lanes.filter((_, index) => states[index]?.abandoned === undefined);
}

/** Puts the files in l_archivedir itself into the queues; it can be repeated. Those that are no WAL of this cluster stay. */
export async function sortUnsorted(
  deps: ArchiverDeps,
  lanes: readonly Lane[],
  cluster: Cluster,
): Promise<readonly string[]> {
  const { layout, log, settings } = deps;
  const names = await listUnsorted(layout);
  if (names.length === 0) return [];
  const served = await listServed(lanes);
  if (!settings.hasKeysOf14 || served.length === 0) {
    log.warning(`${layout.root} itself holds ${names.length} WAL files, which no standby gets`, {
      hint: settings.hasKeysOf14 ? 'Every standby is abandoned.' : keyHint,
    });
    return [];
  }
  const problems: string[] = [];
  for (const name of names) {
    try {
      await sort(deps, served, cluster, name);
    } catch (error) {
      problems.push(messageOf(error));
    }
  }
  await fsyncPath(layout.root);
  log.notice(
    `${names.length - problems.length} WAL files that cmd_queue of pitrtools 1.4 had not taken yet are in the queues now: ${served.map(({ name }) => name).join(', ')}`,
  );
  return problems;
}

/** The problems of both, which an operator must solve. */
export function notTakenOver(problems: readonly string[]): PitrError {
  return new PitrError(
    `${problems.length} WAL files of an earlier release of pitrtools could not be taken over`,
    {
      hint: 'None was removed. What a standby lacks is sent from pg_wal if that still has it; otherwise it is reported as a gap, and the standby needs a new base backup. Move away what remains, and run -I again.',
    },
  );
}
