import { join } from 'node:path';
import { PitrError } from '../../errors.ts';
import { requireProgram } from '../../system/find-program.ts';
import { quoted } from '../../system/printable.ts';
import { remotePath, rsyncCommand, rsyncEnvironment, rsyncOutcome } from '../../system/rsync.ts';
import { shellQuote } from '../../system/shell-quote.ts';
import type { RemoteShell } from '../../system/ssh.ts';
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

function divergedName(timeline: number): string {
  return `.diverged-${timeline}`;
}

/** The directory of one run, in that of all runs of this host: a run that was killed has perhaps left its own. */
interface Incoming {
  readonly parent: string;
  readonly run: string;
}

/**
 * Flushes each file. One that belongs to the history gets its own name in the archive by a link, which replaces
 * nothing. All others, and one whose name has other bytes there, are kept in the folder above: if a former primary has
 * left a file of that name, under a name with a number. A line of answer for each file.
 *
 * Whole files of a killed run may be the last copies by now: they are kept, too, unless the archive has them.
 */
export function storeScript({ parent, run }: Incoming, files: readonly Unsent[]): string {
  const names = (which: (file: Unsent) => boolean) =>
    files
      .filter(which)
      .map(({ name }) => name)
      .join(' ');
  return `cd ${shellQuote(`${parent}/${run}`)} || exit 1
keep() {
  n=$2; i=2
  while ! ln "$1" "../../$n" 2>/dev/null; do
    [ -e "../../$n" ] || exit 1
    cmp -s "$1" "../../$n" && break
    n="$2.$i"; i=$((i+1))
  done
  echo "kept $n"
}
for f in ${names(({ to }) => to === 'archive')}; do
  sync "$f" || exit 1
  if ln "$f" "../../../$f" 2>/dev/null; then echo "stored $f"
  elif cmp -s "$f" "../../../$f"; then echo "present $f"
  else keep "$f" "$f"; fi
done
for f in ${names(({ to, isTail }) => to === 'diverged' && !isTail)}; do sync "$f" || exit 1; keep "$f" "$f"; done
for f in ${names(({ isTail }) => isTail)}; do sync "$f" || exit 1; keep "$f" "$f.partial"; done
for each in ../* ../*/*; do
  f=\${each##*/}
  [ "$each" = "../${run}/$f" ] || [ ! -f "$each" ] && continue
  cmp -s "$each" "../../../$f" || cmp -s "$each" "../../$f.partial" && continue
  sync "$each" || exit 1
  keep "$each" "$f" >/dev/null
done
sync ../.. ../../.. || exit 1
cd ../.. && rm -rf ${shellQuote(parent)}
rmdir "$PWD" 2>/dev/null
exit 0`;
}

function answersOf(lines: readonly string[], word: string): readonly string[] {
  return lines.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1));
}

async function mustRun(shell: RemoteShell, script: string, ms: number): Promise<readonly string[]> {
  const result = await shell.run(script, { limitMs: ms });
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
  const folder = divergedName(control?.timeline ?? 0);
  const target = `${directory}/${folder}`;
  // Files of another former primary, or of an earlier run, must not be replaced.
  const parent = `${target}/.incoming-${deps.hostName.replaceAll(/[^\w.-]/g, '_')}`;
  const incoming = { parent, run: deps.nonce() };
  const directoryOfRun = `${parent}/${incoming.run}`;
  await mustRun(shell, `umask 077; mkdir -p ${shellQuote(directoryOfRun)}`, limitMs);
  const rsync = await requireProgram('rsync', settings.rsync, settings.includepath);
  const program = { rsync, flags: settings.rsync_flags, version: 3 } as const;
  const walDirectory = join(pgdata, capabilities.walDirName);
  const args = [
    '--times',
    '--from0',
    '--files-from=-',
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
  const lines = await mustRun(shell, storeScript(incoming, files), longMs);
  const offered = {
    stored: answersOf(lines, 'stored'),
    present: answersOf(lines, 'present'),
    kept: answersOf(lines, 'kept'),
    directory: target,
  };
  const count = offered.stored.length + offered.present.length + offered.kept.length;
  if (count === files.length) return offered;
  throw new PitrError(`only ${count} of ${files.length} WAL files are safe on ${shell.target.what}`, {
    detail: quoted(lines.join('; ')),
  });
}
