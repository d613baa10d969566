import type { StandbySettings } from '../../../../config/options-standby.ts';
import { longestTimerMs } from '../../../../system/clock.ts';
import type { CommandLine, CommandResult, Session } from '../../../../system/command.ts';
import type { CopyPlace } from '../../../host/tablespaces.ts';
import { type BackupContext, needed } from '../context.ts';
import { politeCommand } from '../copy/politeness.ts';
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
  place: CopyPlace,
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

const progressLine = /^\s*(\d+)\/(\d+) kB \(\d+%\), \d+\/\d+ tablespaces?\b/;

/** From a line of `-P`: the bytes received, and the estimated total. */
export function parseReceiveProgress(line: string) {
  const match = progressLine.exec(line);
  if (match === null) return undefined;
  return { bytes: Number(match[1]) * 1024, total: Number(match[2]) * 1024 };
}

/** All data was received, and the server waits until its archive_command has archived the WAL. */
export function saysThatItWaits(line: string): boolean {
  return /waiting for required WAL segments to be archived|waiting for all required WAL segments/.test(line);
}

export function streamingOf({ facts }: BackupContext): StreamingFacts {
  return needed(facts.streaming, 'what pg_basebackup needs');
}

/** The reason why we ended pg_basebackup. */
export type Ending = 'limit' | 'unarchived';

export interface Received {
  readonly result: CommandResult;
  readonly ending: Ending | undefined;
  readonly bytes: number;
  readonly said: readonly string[];
}

/** Reports the program's progress, and keeps its other output. */
function listener({ deps, facts, onEvent }: BackupContext, onWait: () => void) {
  const said: string[] = [];
  let received: number | undefined;
  const onLine = (line: string): void => {
    const progress = parseReceiveProgress(line);
    if (progress !== undefined) {
      const { bytes, total } = progress;
      if (received === undefined) {
        onEvent({ kind: 'planned', bytes: Math.max(total, facts.streaming?.bytes ?? 0), files: 0 });
        onEvent({ kind: 'phase', phase: 'data' });
      }
      received = bytes;
      onEvent({ kind: 'progress', bytes, files: 0 });
    } else if (line.trim() !== '') {
      deps.log.debug(line);
      said.push(line.trim());
      if (saysThatItWaits(line)) onWait();
    }
  };
  return { onLine, said, received: () => received ?? 0 };
}

function startPgBasebackup(context: BackupContext, onLine: (line: string) => void): Session {
  const { deps, facts } = context;
  const streaming = streamingOf(context);
  const command = politeCommand(
    deps.settings,
    facts,
    pgBasebackupCommand(deps.settings, streaming, facts.place, facts.label),
  );
  deps.log.debug(`${command.program} ${command.args.join(' ')}`);
  const session = deps.startSession(command, {
    env: streaming.access.env,
    heldFds: deps.lockFd === undefined ? [] : [deps.lockFd],
    onLine,
    onErrorLine: onLine,
  });
  session.close();
  return session;
}

/** Runs pg_basebackup to its end, within its limits. It ends with us, even if we are killed. */
export async function runPgBasebackup(context: BackupContext): Promise<Received> {
  const { deps, onEvent } = context;
  const { base_backup_timeout, wal_timeout } = deps.settings;
  const timers: NodeJS.Timeout[] = [];
  let ending: Ending | undefined;
  const endAfter = (seconds: number, why: Ending): void => {
    const end = () => {
      ending ??= why;
      session.kill();
    };
    timers.push(setTimeout(end, Math.min(seconds * 1000, longestTimerMs)));
  };
  const heard = listener(context, () => {
    onEvent({ kind: 'phase', phase: 'wal' });
    endAfter(wal_timeout, 'unarchived');
  });
  const session = startPgBasebackup(context, heard.onLine);
  endAfter(base_backup_timeout, 'limit');
  deps.signal.addEventListener('abort', session.kill, { once: true });
  if (deps.signal.aborted) session.kill();
  try {
    const result = await session.ended;
    return { result, ending, bytes: heard.received(), said: heard.said };
  } finally {
    timers.forEach(clearTimeout);
    deps.signal.removeEventListener('abort', session.kill);
  }
}
