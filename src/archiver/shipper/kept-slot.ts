import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../errors.ts';
import { inMegabytes } from '../../megabytes.ts';
import { heldBytesSql, keptSlot, keptSlotDirectory } from '../../postgres/kept-slot.ts';
import { exists } from '../../system/durable.ts';
import { notify } from '../../system/notify.ts';
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
  if (free >= maxWalSize) return undefined;
  return `only ${inMegabytes(free)} are free on the file system of pg_wal, and max_wal_size is ${inMegabytes(maxWalSize)}`;
}

/** Or why the server does not say. */
async function observe({ deps }: Work): Promise<Held | string> {
  const answer = await rowsOfServer(
    deps,
    `SELECT coalesce((${heldBytesSql})::text, '0'), (SELECT setting FROM pg_settings WHERE name = 'max_wal_size') FROM pg_replication_slots WHERE slot_name = '${keptSlot}'`,
  );
  if (answer.kind === 'none') return answer.reason;
  const [held = '0', megabytes = '0'] = answer.rows[0] ?? [];
  const { bavail, bsize } = await statfs(await walDirectory(deps.settings.pgdata));
  return { held: Number(held), maxWalSize: Number(megabytes) * mebibyte, free: bavail * bsize };
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
  deps.log.warning(`replication slot "${keptSlot}" cannot be asked or dropped, and pg_wal grows: ${reason}`, {
    hint: `The user of cmd_archiver must be able to log in here (keys port, dbname, psql), as a superuser or with REPLICATION. By hand: SELECT pg_drop_replication_slot('${keptSlot}')`,
  });
}

async function giveUp(work: Work, memory: Memory, waiting: readonly string[], reason: string): Promise<void> {
  const { deps } = work;
  const trouble = await drop(work);
  if (trouble !== undefined) {
    sayOnce(work, memory, trouble);
    return;
  }
  const message = `replication slot "${keptSlot}" was dropped before ${waiting.join(', ')} had caught up: ${reason}. A standby that lacks what pg_wal loses needs a new base backup`;
  deps.log.error(message);
  notify(deps, deps.settings, { severity: 'critical', message, facts: { program: 'cmd_archiver' } });
}

async function look(work: Work, memory: Memory): Promise<void> {
  const { deps } = work;
  if (!(await exists(join(deps.settings.pgdata, keptSlotDirectory)))) return;
  const waiting = work.lanes.filter(({ isAbandoned }) => !isAbandoned).map(({ name }) => name);
  const found = await observe(work);
  if (typeof found === 'string') {
    sayOnce(work, memory, found);
    return;
  }
  const reason = whyTooMuch(found, deps.settings.keep_streamed_max);
  if (reason !== undefined) await giveUp(work, memory, waiting, reason);
}

/**
 * A standby that was promoted here left its slot, which keeps WAL for the other standbys (postgres/kept-slot.ts). It is
 * bounded: nothing else here would end it.
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
