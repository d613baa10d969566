/** The standby comes first: what a drill runs gets the processor, the disks and memory when nobody else needs them. */
import { setPriority } from 'node:os';
import { readPostmaster } from '../../system/postmaster.ts';
import { descendantsOf, hasTerminal } from '../../system/processes.ts';
import { allowedProcessors, halfOf, keepTo } from '../../system/processors.ts';
import { sessionNiceness, setSessionNiceness } from '../../system/session-priority.ts';
import type { StandbyDeps } from '../deps.ts';
import { ioniceFlags } from '../host/politeness.ts';
import { availableMemory } from '../server/limits.ts';
import { parametersOfFiles, startParameters } from '../server/parameters.ts';
import type { Origin } from './origin.ts';
import type { DrillPlace } from './place.ts';

/**
 * Linux lets a process finish its turn, of a millisecond or more, even if a query with a higher priority waits: on the other
 * half of the processors no query waits for a drill.
 */
async function leaveHalf({ run }: Pick<StandbyDeps, 'run'>): Promise<void> {
  const { pid } = process;
  const allowed = await allowedProcessors(pid);
  // A system without taskset(1) leaves all processors to it.
  if (allowed.length > 1) await run(keepTo(pid, halfOf(allowed)), { limitMs: 5_000 });
}

/** This program, and all that it starts from now on, the server on the copy included. */
export async function beModest({ run, settings }: StandbyDeps): Promise<void> {
  const { drill_nice, drill_ionice } = settings;
  if (drill_nice > 0) {
    setPriority(drill_nice);
    await leaveHalf({ run });
  }
  const flags = ioniceFlags(drill_ionice);
  if (flags.length === 0) return;
  // A system without ionice(1) has no such classes.
  const args = ['-t', ...flags, '-p', String(process.pid)];
  await run({ program: 'ionice', args }, { limitMs: 5_000 });
}

type Session = Pick<StandbyDeps, 'pause' | 'settings'>;

async function lowerSession({ pause, settings }: Session, pid: number): Promise<void> {
  const { drill_nice } = settings;
  const niceness = await sessionNiceness(pid);
  if (niceness !== undefined && niceness < drill_nice) await setSessionNiceness({ pause }, pid, drill_nice);
}

/**
 * Lowers our own session, in which the WAL and the pages are read. At a terminal it is that of a person, and stays as it is.
 *
 * @returns puts it back: it can be that of a script with more to do
 */
export async function lowerOwnSession(deps: Session): Promise<() => Promise<void>> {
  const { pid } = process;
  const before = await sessionNiceness(pid);
  if (before === undefined || before >= deps.settings.drill_nice || (await hasTerminal(pid)))
    return () => Promise.resolve();
  await lowerSession(deps, pid);
  return () => setSessionNiceness(deps, pid, before);
}

/**
 * Each command, and each process of a server, has a session of its own.
 *
 * @param mayGoOn asked before all and before each of them
 */
export async function lowerSessions(
  deps: Session,
  { pgdata }: DrillPlace,
  mayGoOn: () => boolean,
): Promise<void> {
  if (deps.settings.drill_nice === 0 || !mayGoOn()) return;
  const postmaster = await readPostmaster(pgdata);
  const server = postmaster.kind === 'running' ? [postmaster.pid] : [];
  for (const pid of [...server, ...(await descendantsOf([process.pid, ...server]))]) {
    if (!mayGoOn()) return;
    await lowerSession(deps, pid);
  }
}

const blockBytes = 8192;
const leastBlocks = 2048;

/** A second server with the standby's own shared_buffers might not fit into memory: it takes a quarter of what is free. */
export async function sharedBuffers({ server, configuration }: Origin): Promise<ReadonlyMap<string, string>> {
  const name = 'shared_buffers';
  const start = startParameters(server, 'standby', configuration);
  const wanted = Number((await parametersOfFiles(server, [name], start)).get(name));
  const freeMb = await availableMemory();
  if (!Number.isInteger(wanted) || freeMb === undefined) return new Map();
  const most = Math.max(leastBlocks, Math.floor((freeMb * 1024 * 1024) / 4 / blockBytes));
  return wanted <= most ? new Map() : new Map([[name, String(most)]]);
}
