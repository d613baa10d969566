import { readFile } from 'node:fs/promises';
import { archiveCallOf } from '../../../config/archive-command.ts';
import { parseArchiverConfig } from '../../../config/load-archiver.ts';
import type { Capabilities } from '../../../postgres/capabilities.ts';
import { isLoopback, ownAddresses } from '../../../system/own-addresses.ts';
import { readSentinel } from '../../../system/sentinel.ts';
import type { StandbyDeps } from '../../deps.ts';
import { withLocalServer } from '../../server/server-state.ts';
import type { Archiving } from './outcome.ts';

/** Who we are, as a list of standbys might name us. */
export interface OwnPlace {
  readonly archivedir: string;
  readonly names: readonly string[];
}

/**
 * Why this archive_command, which a standby inherits from its primary, must not stay as it is on the promoted server.
 *
 * @param iniText the archiver's INI file, if the command has one and it can be read
 */
export function archivingProblems(
  archiveCommand: string,
  iniText: string | undefined,
  own: OwnPlace,
): string[] {
  if (archiveCommand.includes(own.archivedir))
    return [`it names ${own.archivedir}, the archive of this host itself`];
  if (iniText === undefined) return [];
  const config = parseArchiverConfig(iniText);
  if (config.kind === 'problems') return [];
  return config.settings.standbys
    .filter(({ name, host }) => own.names.includes(name) || own.names.includes(host) || isLoopback(host))
    .map(({ name }) => `its list of standbys has "${name}", which is this host`);
}

/** Warns when the promoted server would ship its WAL to itself: the segments would pile up, or be refused for ever. */
export async function checkArchiving(deps: StandbyDeps, capabilities: Capabilities): Promise<Archiving> {
  const answer = await withLocalServer(deps, capabilities, (sql) =>
    sql("SELECT name, setting FROM pg_settings WHERE name IN ('archive_mode', 'archive_command')"),
  );
  if (answer.kind !== 'answered') return { kind: 'unknown', reason: answer.reason };
  const settings = new Map(answer.value.map((row) => [String(row['name']), String(row['setting'])]));
  const command = settings.get('archive_command') ?? '';
  if (settings.get('archive_mode') === 'off' || command === '') {
    deps.log.warning('this server archives nothing: its own standbys need archive_mode and archive_command');
    return { kind: 'nothing' };
  }
  const sentinel = await readSentinel(deps.settings.archivedir).catch(() => undefined);
  const ini = archiveCallOf(command)?.iniFile;
  const text = ini === undefined ? undefined : await readFile(ini, 'utf8').catch(() => undefined);
  const names = [
    deps.hostName,
    'localhost',
    ...ownAddresses(),
    ...(sentinel === undefined ? [] : [sentinel.standby]),
  ];
  for (const problem of archivingProblems(command, text, { archivedir: deps.settings.archivedir, names }))
    deps.log.warning(`archive_command of this server must be changed: ${problem}`);
  return { kind: 'command', ini };
}
