import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../errors.ts';
import { inMegabytes } from '../../megabytes.ts';
import { heldBytesSql, keptSlot, keptSlotDirectory, whyTooFull } from '../../postgres/kept-slot.ts';
import { exists } from '../../system/durable.ts';
import { notify } from '../../system/notify.ts';
import { findOwnWal, isProved } from '../lane/catch-up.ts';
import { readLaneState } from '../lane/state.ts';
import { walDirectory } from '../wal/ready-files.ts';
import { rowsOfServer } from '../wal/server-view.ts';
import { createWakeUp } from './signal.ts';
import { isStopped, type Work } from './work.ts';

const lookMs = 10_000;
const mebibyte = 1024 * 1024;

/** In bytes. */
export interface Held {
  /** WAL that only the slot keeps. */
  readonly held: number;
  /** As much WAL may come before the next checkpoint. */
  readonly maxWalSize: number;
  /** On the file system of pg_wal. */
  readonly free: number;
}

/** Why the slot must not keep its WAL any longer; undefined if it may. A full pg_wal ends the server. */
export function whyTooMuch({ held, maxWalSize, free }: Held, most: number): string | undefined {
  if (held <= 0) return undefined;
  if (held > most) return `it keeps ${inMegabytes(held)}, and keep_streamed_max is ${inMegabytes(most)}`;
  return whyTooFull(free, maxWalSize);
}

interface Observed extends Held {
  /** Whether PostgreSQL archives what it writes now. */
  readonly archives: boolean;
}

const observeSql = `SELECT coalesce((${heldBytesSql})::text, '0'),
  (SELECT setting FROM pg_settings WHERE name = 'max_wal_size'),
  current_setting('archive_mode')
FROM pg_replication_slots WHERE slot_name = '${keptSlot}'`;

/** Or why the server does not say. */
async function observe({ deps }: Work): Promise<Observed | string> {
  const answer = await rowsOfServer(deps, observeSql);
  if (answer.kind === 'none') return answer.reason;
  const [row] = answer.rows;
  if (row === undefined) return 'the server does not know it';
  const [held = '0', megabytes = '0', archiveMode = ''] = row;
  const { bavail, bsize } = await statfs(await walDirectory(deps.settings.pgdata));
  return {
    held: Number(held),
    maxWalSize: Number(megabytes) * mebibyte,
    free: bavail * bsize,
    archives: archiveMode !== 'off',
  };
}

/** The standbys without a proof that they have all WAL. An abandoned one needs a new base backup in any case. */
async function waitingFor({ deps, lanes }: Work): Promise<readonly string[]> {
  const names: string[] = [];
  const own = await findOwnWal(deps);
  for (const lane of lanes) {
    const state = await readLaneState(lane);
    if (state.abandoned !== undefined) continue;
    if (own === undefined || !(await isProved(lane, state, own))) names.push(lane.name);
  }
  return names;
}

/** Returns why it could not be dropped; undefined once it is gone. */
async function drop({ deps }: Work): Promise<string | undefined> {
  const answer = await rowsOfServer(
    deps,
    `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '${keptSlot}'`,
  );
  return answer.kind === 'none' ? answer.reason : undefined;
}

interface Memory {
  said: string | undefined;
}

function sayOnce({ deps }: Work, memory: Memory, reason: string): void {
  if (memory.said === reason) return;
  memory.said = reason;
  const message = `replication slot "${keptSlot}" cannot be asked or dropped, and pg_wal grows: ${reason}`;
  notify(deps, deps.settings, {
    severity: 'critical',
    name: 'keeping',
    message,
    facts: { program: 'cmd_archiver' },
  });
  deps.log.warning(message, {
    hint: `The user of cmd_archiver must be able to log in here (keys port, dbname, psql), as a superuser or with REPLICATION. By hand: SELECT pg_drop_replication_slot('${keptSlot}')`,
  });
}

function sayGone({ deps }: Work, waiting: readonly string[], reason: string | undefined): void {
  if (reason === undefined) {
    deps.log.notice(`replication slot "${keptSlot}" was dropped: every standby has the WAL that it kept`);
    return;
  }
  const before = waiting.length === 0 ? 'archiving was turned on' : `${waiting.join(', ')} had caught up`;
  const message = `replication slot "${keptSlot}" was dropped before ${before}: ${reason}. A standby that lacks what pg_wal loses needs a new base backup`;
  deps.log.error(message);
  notify(deps, deps.settings, {
    severity: 'critical',
    name: 'keeping',
    message,
    facts: { program: 'cmd_archiver' },
  });
}

async function look(work: Work, memory: Memory): Promise<void> {
  const { deps } = work;
  if (!(await exists(join(deps.settings.pgdata, keptSlotDirectory)))) return;
  const found = await observe(work);
  if (typeof found === 'string') {
    sayOnce(work, memory, found);
    return;
  }
  const waiting = await waitingFor(work);
  // WAL that PostgreSQL writes while it archives nothing is nowhere but in pg_wal.
  const isDone = waiting.length === 0 && found.archives;
  const reason = isDone ? undefined : whyTooMuch(found, deps.settings.keep_streamed_max);
  if (!isDone && reason === undefined) return;
  const trouble = await drop(work);
  if (trouble === undefined) sayGone(work, waiting, reason);
  else sayOnce(work, memory, trouble);
}

/**
 * A standby that was promoted here left its slot, which keeps WAL for the other standbys (postgres/kept-slot.ts). It is
 * dropped when all of them have caught up, or when it keeps too much: nothing else would end it.
 */
export async function watchKeptSlot(work: Work): Promise<void> {
  const memory: Memory = { said: undefined };
  const wakeUp = createWakeUp();
  work.stop.addEventListener('abort', wakeUp.wake, { once: true });
  while (!isStopped(work)) {
    await look(work, memory).catch((error: unknown) => {
      if (!isStopped(work)) sayOnce(work, memory, messageOf(error));
    });
    await wakeUp.wait(lookMs);
  }
}
