/** The standby comes first: what a drill runs gets the processor, the disks and memory when nobody else needs them. */
import { setPriority } from 'node:os';
import type { StandbyDeps } from '../deps.ts';
import { ioniceFlags } from '../host/politeness.ts';
import { availableMemory } from '../server/limits.ts';
import { parametersOfFiles, startParameters } from '../server/parameters.ts';
import type { Origin } from './origin.ts';

/** This program, and all that it starts from now on, the server on the copy included. */
export async function beModest({ run, settings }: StandbyDeps): Promise<void> {
  const { drill_nice, drill_ionice } = settings;
  if (drill_nice > 0) setPriority(drill_nice);
  const flags = ioniceFlags(drill_ionice);
  if (flags.length === 0) return;
  // A system without ionice(1) has no such classes.
  const args = ['-t', ...flags, '-p', String(process.pid)];
  await run({ program: 'ionice', args }, { limitMs: 5_000 });
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
