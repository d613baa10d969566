import type { StandbySettings } from '../../../../config/options-standby.ts';
import type { CommandLine } from '../../../../system/command.ts';
import type { LocalPlace } from '../../../host/place.ts';
import type { StreamingFacts } from './facts.ts';
import { receivingDirectory, receivingTablespace } from './places.ts';

/** The range of pg_basebackup's --max-rate, in KiB per second (manual, its reference page). */
const leastRate = 32;
const mostRate = 1024 * 1024;

/** `-T`: an equals sign in a path is escaped. */
function mapping(from: string, to: string): string {
  return [from, to].map((path) => path.replaceAll('=', '\\=')).join('=');
}

function rateFlags({
  basebackup_bwlimit: limit,
}: Pick<StandbySettings, 'basebackup_bwlimit'>): readonly string[] {
  if (limit === 0 || limit > mostRate) return [];
  return [`--max-rate=${Math.max(leastRate, limit)}`];
}

/**
 * The command line of pg_basebackup: without WAL, which arrives through the archive, and without flushing, which is
 * done at the end.
 */
export function pgBasebackupCommand(
  settings: Pick<StandbySettings, 'basebackup_bwlimit' | 'basebackup_checkpoint'>,
  { program: { program, args }, client, access }: Pick<StreamingFacts, 'program' | 'client' | 'access'>,
  place: Pick<LocalPlace, 'pgdata' | 'targets'>,
  label: string,
): CommandLine {
  const own = [
    ...(client.pgBasebackupSendsWalByDefault ? ['-X', 'none', '--no-sync'] : []),
    ...(client.pgBasebackupMakesManifest ? ['--no-manifest'] : []),
    ...place.targets.flatMap((target) => [
      '-T',
      mapping(target.location, receivingTablespace(place, target)),
    ]),
    ...(client.pgBasebackupMapsAndThrottles ? rateFlags(settings) : []),
  ];
  const connection = ['-h', access.host, '-p', String(access.port), '-U', access.role, '-w'];
  const common = [
    '-D',
    receivingDirectory(place),
    '-F',
    'p',
    '-c',
    settings.basebackup_checkpoint,
    '-l',
    label,
    '-P',
    '-v',
  ];
  return { program, args: [...args, ...connection, ...common, ...own] };
}

/** From a line of `-P`: the bytes received, and the estimated total. */
export interface ReceiveProgress {
  readonly bytes: number;
  readonly total: number;
}

const progressLine = /^\s*(\d+)\/(\d+) kB \(\d+%\), \d+\/\d+ tablespaces?\b/;

export function parseReceiveProgress(line: string): ReceiveProgress | undefined {
  const match = progressLine.exec(line);
  if (match === null) return undefined;
  return { bytes: Number(match[1]) * 1024, total: Number(match[2]) * 1024 };
}

/** All data was received, and the server waits until its archive_command has archived the WAL. */
export function saysThatItWaits(line: string): boolean {
  return /waiting for required WAL segments to be archived|waiting for all required WAL segments/.test(line);
}
