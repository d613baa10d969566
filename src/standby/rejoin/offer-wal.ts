import { join } from 'node:path';
import { PitrError } from '../../errors.ts';
import { requireProgram } from '../../system/find-program.ts';
import { quoted } from '../../system/printable.ts';
import { remotePath, rsyncCommand, rsyncEnvironment, rsyncOutcome } from '../../system/rsync.ts';
import type { RemoteShell, RemoteWork } from '../../system/ssh.ts';
import { dataWork } from '../../verbs/data-requests.ts';
import { divergedDirectory, incomingOf } from '../../verbs/scripts/offer.ts';
import type { StandbyDeps } from '../deps.ts';
import type { Host } from '../follow/host.ts';
import type { DataDirectory } from '../server/data-directory.ts';
import type { Unsent } from './unsent.ts';

export interface Offered {
  /** Stored there under their own names. */
  readonly stored: readonly string[];
  /** The archive there had them, with the same bytes. */
  readonly present: readonly string[];
  /** In `directory` there: WAL that is in nobody's history, or bytes other than those of the file of that name. */
  readonly kept: readonly string[];
  readonly directory: string;
}

const limitMs = 60_000;
/** The slowest acceptable link. */
const bytesPerMs = 32;

function answersOf(lines: readonly string[], word: string): readonly string[] {
  return lines.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1));
}

async function mustRun(shell: RemoteShell, work: RemoteWork, ms: number): Promise<readonly string[]> {
  const result = await shell.run(work, { limitMs: ms });
  if (result.kind === 'done' && result.status === 0) return result.lines;
  const reason = result.kind === 'lost' ? result.reason : quoted(result.lines.join('; '));
  throw new PitrError(`cannot offer WAL to ${shell.target.what}`, { detail: reason });
}

/** Brings files of pg_wal to the new primary's archive. Nothing is replaced there. */
export async function offerWal(
  deps: StandbyDeps,
  { pgdata, capabilities, control }: DataDirectory,
  { shell, facts }: Host,
  directory: string,
  files: readonly Unsent[],
): Promise<Offered> {
  const { settings } = deps;
  // Files of another former primary, or of an earlier run, must not be replaced.
  const place = {
    archive: directory,
    timeline: control?.timeline ?? 0,
    host: deps.hostName.replaceAll(/[^\w.-]/g, '_'),
    run: deps.nonce(),
  };
  const incoming = incomingOf(place);
  const directoryOfRun = `${incoming.parent}/${incoming.run}`;
  await mustRun(shell, dataWork('begin-offer', place), limitMs);
  const rsync = await requireProgram('rsync', settings.rsync, settings.includepath);
  const program = { rsync, flags: settings.rsync_flags, version: 3 } as const;
  const walDirectory = join(pgdata, capabilities.walDirName);
  const args = [
    '--times',
    '--from0',
    '--files-from=-',
    // Only a whole file gets its name, whatever the user's flags ask for: those of a killed run are kept later.
    ...['--no-inplace', '--no-append', '--no-partial'],
    // The program of a restricted key takes none.
    ...(shell.served === undefined ? [] : ['--no-l', '--no-D', '--no-H']),
    `${walDirectory}/`,
    `${remotePath(shell, program, directoryOfRun)}/`,
  ];
  const longMs = limitMs + Math.ceil((files.length * facts.settings.walSegmentSize) / bytesPerMs);
  const result = await deps.run(rsyncCommand(shell, program, settings.ssh_timeout, args), {
    limitMs: longMs,
    input: files.map(({ name }) => `${name}\0`).join(''),
    env: rsyncEnvironment(program),
    signal: deps.signal,
  });
  const outcome = rsyncOutcome(result);
  if (outcome.kind !== 'whole') {
    throw new PitrError(`cannot offer WAL to ${shell.target.what}`, {
      detail: 'reason' in outcome ? outcome.reason : 'files vanished',
    });
  }
  const lines = await mustRun(shell, dataWork('store-offer', { ...place, files }), longMs);
  const offered = {
    stored: answersOf(lines, 'stored'),
    present: answersOf(lines, 'present'),
    kept: answersOf(lines, 'kept'),
    directory: divergedDirectory(place),
  };
  const count = offered.stored.length + offered.present.length + offered.kept.length;
  if (count === files.length) return offered;
  throw new PitrError(`only ${count} of ${files.length} WAL files are safe on ${shell.target.what}`, {
    detail: quoted(lines.join('; ')),
  });
}
