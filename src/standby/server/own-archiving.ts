import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type ArchiveCall, type Archiving, judgeArchiving } from '../../config/archive-command.ts';
import { parseArchiverConfig } from '../../config/load-archiver.ts';
import { messageOf } from '../../errors.ts';
import { findProgram } from '../../system/find-program.ts';
import { isLoopback, ownAddresses } from '../../system/own-addresses.ts';
import { programRoot } from '../../system/program-root.ts';
import { readSentinel } from '../../system/sentinel.ts';
import type { StandbyDeps } from '../deps.ts';
import {
  parametersOfFiles,
  parametersOfServer,
  type ParameterValues,
  startParameters,
} from './parameters.ts';
import type { Server } from './server.ts';
import { type ConfigurationRole, configurationSources, readConfiguration } from './server-configuration.ts';

/** The way in which this host's server archives once it is promoted. */
export type OwnArchiving =
  | { readonly kind: 'known'; readonly archiving: Archiving }
  | { readonly kind: 'unknown'; readonly reason: string };

const names = ['archive_mode', 'archive_command', 'archive_library'] as const;

function known(values: ParameterValues): OwnArchiving {
  const [archiveMode = '', archiveCommand = '', archiveLibrary = ''] = names.map((name) => values.get(name));
  return { kind: 'known', archiving: { archiveMode, archiveCommand, archiveLibrary } };
}

/** The settings that the running server reports. */
export async function askServer(server: Server): Promise<OwnArchiving> {
  const answer = await parametersOfServer(server, names);
  return answer.kind === 'answered' ? known(answer.value) : { kind: 'unknown', reason: answer.reason };
}

/** The settings in the files that a promoted server reads. */
async function askFiles(server: Server): Promise<OwnArchiving> {
  const configuration = await readConfiguration(server, 'failover');
  const start = startParameters(server, 'failover', configuration);
  const values = await parametersOfFiles(server, names, start);
  if (values.has('archive_mode') && values.has('archive_command')) return known(values);
  return { kind: 'unknown', reason: `the server's program reads none from "${start.get('config_file')}"` };
}

/** The running server's settings are right unless the promotion puts other files into force. */
export async function observeArchiving(server: Server): Promise<OwnArchiving> {
  const { settings } = server.deps;
  const confOf = (role: ConfigurationRole) => configurationSources(settings, role).conf;
  if (confOf('standby') !== confOf('failover')) return askFiles(server);
  const answer = await askServer(server);
  return answer.kind === 'known' ? answer : askFiles(server);
}

/** The names that a list of standbys might use for this host. */
async function ownNames({ settings, hostName }: StandbyDeps): Promise<readonly string[]> {
  const sentinel = await readSentinel(settings.archivedir).catch(() => undefined);
  return [hostName, 'localhost', ...ownAddresses(), ...(sentinel === undefined ? [] : [sentinel.standby])];
}

/** The server's shell expands such a path in the server's environment, which is unknown here. */
function isExpanded(path: string): boolean {
  return /^~|[$`*?[]/.test(path);
}

/** A bare name is looked up on the server's PATH, which is unknown here as well. */
async function programProblem({ program }: ArchiveCall, pgdata: string): Promise<readonly string[]> {
  if (!program.includes('/') || isExpanded(program)) return [];
  const path = resolve(pgdata, program);
  if ((await findProgram(path, [])) !== undefined) return [];
  return [`there is no program "${path}" that can be run`];
}

/** The problems of the archiver's INI file: it does not exist, cannot be used, or lists this host as a standby. */
export function iniProblems(iniFile: string, text: string, own: readonly string[]): readonly string[] {
  const config = parseArchiverConfig(text);
  if (config.kind === 'problems')
    return [`its INI file "${iniFile}" cannot be used: cmd_archiver -C ${iniFile} says why`];
  return config.settings.standbys
    .filter(({ name, host }) => own.includes(name) || own.includes(host) || isLoopback(host))
    .map(({ name }) => `its list of standbys contains "${name}", which is this host`);
}

async function callProblems(deps: StandbyDeps, call: ArchiveCall): Promise<readonly string[]> {
  const { pgdata } = deps.settings;
  const found = await programProblem(call, pgdata);
  if (isExpanded(call.iniFile)) return found;
  // PostgreSQL's shell works in the data directory.
  const path = resolve(pgdata, call.iniFile);
  try {
    return [...found, ...iniProblems(path, await readFile(path, 'utf8'), await ownNames(deps))];
  } catch (error) {
    return [...found, `its INI file cannot be read: ${messageOf(error)}`];
  }
}

/**
 * The reasons why an archive_command, which a standby may have inherited from its primary, must be changed before this
 * server is promoted. There are none if the server archives nothing. If it archives by another program than
 * cmd_archiver, the only possible reason is that the command names this host's own archive.
 */
export async function archivingProblems(deps: StandbyDeps, archiving: Archiving): Promise<readonly string[]> {
  const { archivedir } = deps.settings;
  const { archiveMode, archiveCommand, archiveLibrary } = archiving;
  if (archiveMode === 'off' || archiveCommand === '' || archiveLibrary !== '') return [];
  if (archiveCommand.includes(archivedir)) return [`it names ${archivedir}, the archive of this host itself`];
  const verdict = judgeArchiving(archiving);
  if (verdict.kind === 'wrong') return [verdict.reason];
  return verdict.kind === 'call' ? callProblems(deps, verdict.call) : [];
}

export async function warnOfArchiving(deps: StandbyDeps, archiving: Archiving): Promise<void> {
  const launcher = join(programRoot(), 'bin', 'cmd_archiver');
  const hint = `Make an INI file for cmd_archiver on this host whose list of standbys does not contain this host, and set: archive_command = '${launcher} -C FILE -F %p'`;
  for (const problem of await archivingProblems(deps, archiving))
    deps.log.warning(`archive_command of this server must be changed: ${problem}`, { hint });
}
