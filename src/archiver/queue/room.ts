import { inMegabytes } from '../../megabytes.ts';
import { stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { PitrError } from '../../errors.ts';
import { systemErrorCode } from '../../system/durable.ts';
import type { ArchiverDeps } from '../deps.ts';
import type { Lane } from '../lane/lane.ts';
import { listQueue } from './queue.ts';

/** The contents of one queue. */
export interface QueueUse {
  readonly files: number;
  readonly bytes: number;
}

/** Counts a queue. It stats every file: do not call this once per segment. */
export async function measureQueue({ settings }: ArchiverDeps, { queue }: Lane): Promise<QueueUse> {
  const names = await listQueue(queue);
  if (settings.queue_max?.kind !== 'bytes') return { files: names.length, bytes: 0 };
  let bytes = 0;
  for (const { name } of names) {
    bytes += await stat(join(queue, name)).then(
      ({ size }) => size,
      () => 0,
    );
  }
  return { files: names.length, bytes };
}

/**
 * The reason why a file of this size must not be added to a queue with these contents; undefined if it may be added.
 */
export function findLimit(deps: ArchiverDeps, use: QueueUse, bytes: number): string | undefined {
  const limit = deps.settings.queue_max;
  if (limit?.kind === 'files' && use.files + 1 > limit.files) {
    return `its queue holds ${use.files} files (queue_max)`;
  }
  if (limit?.kind === 'bytes' && use.bytes + bytes > limit.bytes) {
    return `its queue holds ${inMegabytes(use.bytes)} of ${inMegabytes(limit.bytes)} (queue_max)`;
  }
  return undefined;
}

/** Whether a copy of this size leaves the file system less free space than the INI file demands. */
export async function findNoSpace(deps: ArchiverDeps, bytes: number): Promise<string | undefined> {
  const { l_archivedir, queue_min_free } = deps.settings;
  if (queue_min_free === undefined) return undefined;
  const { bavail, bsize } = await statfs(l_archivedir);
  const free = bavail * bsize;
  if (free - bytes >= queue_min_free) return undefined;
  return `only ${inMegabytes(free)} are free on the file system of ${l_archivedir} (queue_min_free)`;
}

/** A queue that is full by the INI file's own limits. Callers treat it like a full disk. */
export function queueFull({ name }: Lane, reason: string): PitrError {
  return new PitrError(`the queue of standby "${name}" is full: ${reason}`, {
    cause: Object.assign(new Error(reason), { code: 'ENOSPC' }),
    hint: `Repair the standby, raise the limit, or abandon the standby: cmd_archiver --abandon ${name}`,
  });
}

export function isQueueFull(error: PitrError): boolean {
  return ['ENOSPC', 'EDQUOT'].includes(systemErrorCode(error.cause) ?? '');
}

/** Throws if a file of this size must not be queued. It counts the queue: only for rare calls. */
export async function requireRoom(deps: ArchiverDeps, lane: Lane, bytes: number): Promise<void> {
  const { queue_max } = deps.settings;
  const use = queue_max === undefined ? { files: 0, bytes: 0 } : await measureQueue(deps, lane);
  const reason = findLimit(deps, use, bytes) ?? (await findNoSpace(deps, bytes));
  if (reason !== undefined) throw queueFull(lane, reason);
}
