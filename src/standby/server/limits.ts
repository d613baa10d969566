import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Capabilities } from '../../postgres/capabilities.ts';
import {
  demandedLimits,
  findLowLimits,
  limitNames,
  type Limits,
  type LowLimit,
} from '../../postgres/standby-limits.ts';
import { copyDurably, readIfExists } from '../../system/durable.ts';
import { mkdir, withTemporaryDirectory } from '../../system/files.ts';
import { type Objection, when } from '../steps/objections.ts';
import {
  parametersOfFiles,
  parametersOfServer,
  type ParameterValues,
  startParameters,
} from './parameters.ts';
import type { Server } from './server.ts';
import { isHotStandby, type ServerConfiguration } from './server-configuration.ts';
import type { ServerState } from './server-state.ts';

function limitsIn(parameters: ParameterValues): Limits {
  const known = limitNames.filter((name) => /^-?\d+$/.test(parameters.get(name) ?? ''));
  return new Map(known.map((name) => [name, Number(parameters.get(name))]));
}

/** The values with which the standby will be started. */
async function limitsOfFiles(server: Server, configuration: ServerConfiguration): Promise<Limits> {
  const start = startParameters(server, 'standby', configuration);
  return limitsIn(await parametersOfFiles(server, limitNames, start));
}

/**
 * The values with which a server will be started as a hot standby; empty if it will be none. Those of its last start
 * prove nothing: its files may have been changed since.
 */
export async function limitsAsStandby(server: Server, configuration: ServerConfiguration): Promise<Limits> {
  const { capabilities } = server;
  if (!isHotStandby(configuration, capabilities)) return new Map();
  return limitsOfFiles(server, configuration);
}

/**
 * The values that a primary with these settings demands of its hot standbys.
 *
 * @param raised those of a standby here that must be raised before its promotion
 */
export function limitsAsPrimary(
  settings: ParameterValues,
  raised: readonly LowLimit[],
  { comparesWalSenders }: Pick<Capabilities, 'comparesWalSenders'>,
): Limits {
  const limits = new Map(limitsIn(settings));
  for (const { name, demanded } of raised) limits.set(name, Math.max(demanded, limits.get(name) ?? 0));
  if (!comparesWalSenders) limits.delete('max_wal_senders');
  return limits;
}

/** The values with which the server runs; empty if it cannot be asked. */
export async function limitsOfServer(server: Server): Promise<Limits> {
  const answer = await parametersOfServer(server, limitNames);
  return answer.kind === 'answered' ? limitsIn(answer.value) : new Map();
}

export interface LimitQuestion {
  readonly server: Server;
  readonly configuration: ServerConfiguration;
  readonly state: ServerState;
}

/** Settings that are lower here than a hot standby's pg_control demands. */
export async function observeLowLimits({
  server,
  configuration,
  state,
}: LimitQuestion): Promise<readonly LowLimit[]> {
  const { capabilities, pgdata } = server;
  if (state.kind === 'production' || !isHotStandby(configuration, capabilities)) return [];
  const bytes = await readIfExists(join(pgdata, 'global', 'pg_control'));
  const demanded = bytes === undefined ? undefined : demandedLimits(bytes);
  if (demanded === undefined) return [];
  const here =
    state.kind === 'stopped' ? await limitsOfFiles(server, configuration) : await limitsOfServer(server);
  return findLowLimits(demanded, here);
}

/** The same for a base backup of a server that has these values. */
export async function limitsBelow(
  server: Server,
  configuration: ServerConfiguration,
  demanded: Limits,
): Promise<readonly LowLimit[]> {
  if (!isHotStandby(configuration, server.capabilities)) return [];
  return findLowLimits(demanded, await limitsOfFiles(server, configuration));
}

export function describeLowLimit({ name, here, demanded }: LowLimit): string {
  return `${name} is ${here} here, and the primary has ${demanded}`;
}

/** Names the lines to write, and the file for them. */
export function limitHint(low: readonly LowLimit[], { configFile }: ServerConfiguration): string {
  const lines = low.map(({ name, demanded }) => `${name} = ${demanded}`).join(', ');
  return `Set ${lines} in ${configFile}, or in the file that is copied there.`;
}

/** With settings that are too low, a standby fails: from 14 on its replay stops in the middle, before that its server ends. */
export function limitObjectionsOf(
  low: readonly LowLimit[],
  configuration: ServerConfiguration,
): readonly Objection[] {
  return when(low.length > 0, {
    message: `a hot standby needs at least the primary's settings: ${low.map(describeLowLimit).join('; ')}`,
    hint: limitHint(low, configuration),
  });
}

/** A server that is started with these parameters has the values that pg_control demands, whatever its files say. */
export function raised(configuration: ServerConfiguration, low: readonly LowLimit[]): ServerConfiguration {
  const more = low.map(({ name, demanded }) => [name, String(demanded)] as const);
  return { ...configuration, parameters: new Map([...configuration.parameters, ...more]) };
}

/** In megabytes; undefined if it is not known. */
export async function availableMemory(): Promise<number | undefined> {
  const text = await readFile('/proc/meminfo', 'utf8').catch(() => '');
  const kilobytes = /^MemAvailable:\s+(\d+) kB/m.exec(text)?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) / 1024;
}

export type MemoryForLimits =
  | { readonly kind: 'enough' }
  | { readonly kind: 'unknown'; readonly reason: string }
  | { readonly kind: 'too-little'; readonly reason: string };

/**
 * Asks the server's program how much shared memory it would use (from 15 on). The program does not answer that for a
 * data directory on which a server runs, so it gets a temporary one that contains only pg_control.
 */
async function sharedMemory(server: Server, configuration: ServerConfiguration): Promise<number | undefined> {
  return withTemporaryDirectory('pitrtools-trial-', async (directory) => {
    await mkdir(join(directory, 'global'), { mode: 0o700 });
    for (const file of ['PG_VERSION', join('global', 'pg_control')])
      await copyDurably(join(server.pgdata, file), join(directory, file));
    const start = new Map([
      ...startParameters(server, 'standby', configuration),
      ['data_directory', directory],
      // The program must not write anywhere else.
      ['external_pid_file', ''],
      ['logging_collector', 'off'],
    ]);
    const found = await parametersOfFiles(server, ['shared_memory_size'], start, directory);
    const megabytes = Number(found.get('shared_memory_size'));
    return megabytes > 0 ? megabytes : undefined;
  });
}

/** Whether a server with the raised settings will get its memory, as far as that can be known in advance. */
export async function observeMemory(
  { server, configuration, state }: LimitQuestion,
  low: readonly LowLimit[],
): Promise<MemoryForLimits> {
  const needed = await sharedMemory(server, raised(configuration, low));
  const free = await availableMemory();
  if (needed === undefined || free === undefined)
    return {
      kind: 'unknown',
      reason: 'the server does not say how much memory it would take (it does from 15 on)',
    };
  // A running server frees its memory when it is stopped.
  const freed = state.kind === 'stopped' ? 0 : ((await sharedMemory(server, configuration)) ?? 0);
  if (needed <= free + freed) return { kind: 'enough' };
  return {
    kind: 'too-little',
    reason: `the server would take ${needed} MB of shared memory, and ${Math.floor(free + freed)} MB are available`,
  };
}
