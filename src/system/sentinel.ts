import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { PitrError } from '../errors.ts';
import { formatLeft, type LeftTimeline, parseLeft } from '../postgres/left-timeline.ts';
import type { RunCommand } from './command.ts';
import { readIfExists, writeDurably } from './durable.ts';
import { takeLock } from './lock.ts';
import { printable } from './printable.ts';

/** The file that proves that an archive directory is the right one, and mounted: `archivedir/.pitrtools`. */
export interface Sentinel {
  readonly systemIdentifier: string;
  readonly standby: string;
  readonly primaryPgdata: string | undefined;
  /** Set by a failover: from then on no primary of an older timeline may deliver here. */
  readonly promotedAtTimeline: number | undefined;
  /** How other hosts call cmd_standby here; unknown until it has written the sentinel itself. */
  readonly command?: StandbyCommand | undefined;
  /** The timelines of which no WAL from behind the fork is accepted any more, by timeline. */
  readonly left: readonly LeftTimeline[];
  /**
   * The marks past which the server here was seen to have replayed: later its archive contains the next timeline, and
   * nothing shows it any more. A base backup withdraws them.
   */
  readonly diverged?: readonly LeftTimeline[] | undefined;
}

/** Absolute paths on the standby. */
export interface StandbyCommand {
  readonly program: string;
  readonly iniFile: string;
}

export const sentinelName = '.pitrtools';
/** Beside the sentinel: locked while it is read, changed and written. */
export const sentinelLockName = `${sentinelName}.lock`;

export function formatSentinel(sentinel: Sentinel): string {
  const lines = [`system_identifier: ${sentinel.systemIdentifier}`, `standby: ${sentinel.standby}`];
  if (sentinel.primaryPgdata !== undefined) lines.push(`primary_pgdata: ${sentinel.primaryPgdata}`);
  if (sentinel.promotedAtTimeline !== undefined)
    lines.push(`promoted_at_timeline: ${sentinel.promotedAtTimeline}`);
  if (sentinel.command !== undefined)
    lines.push(`program: ${sentinel.command.program}`, `ini: ${sentinel.command.iniFile}`);
  lines.push(...sentinel.left.map((mark) => `left: ${formatLeft(mark)}`));
  lines.push(...(sentinel.diverged ?? []).map((mark) => `diverged: ${formatLeft(mark)}`));
  return `${lines.join('\n')}\n`;
}

function parseCommand(program: string | undefined, iniFile: string | undefined): StandbyCommand | undefined {
  const isPath = (text: string | undefined): text is string =>
    text?.startsWith('/') === true && printable(text) === text;
  return isPath(program) && isPath(iniFile) ? { program, iniFile } : undefined;
}

/** Undefined for a text without a system identifier: such a file proves nothing. */
export function parseSentinel(text: string): Sentinel | undefined {
  const pairs = text.split('\n').flatMap((line) => {
    const colon = line.indexOf(': ');
    return colon < 0 ? [] : [[line.slice(0, colon), line.slice(colon + 2)] as const];
  });
  const values = new Map(pairs);
  const marksOf = (name: string) =>
    pairs.filter(([key]) => key === name).map(([, value]) => parseLeft(value));
  const left = marksOf('left');
  // It forbids nothing: one that cannot be read is unknown.
  const diverged = marksOf('diverged').filter((mark) => mark !== undefined);
  const systemIdentifier = values.get('system_identifier');
  if (systemIdentifier === undefined || !/^\d+$/.test(systemIdentifier)) return undefined;
  const promoted = values.get('promoted_at_timeline');
  if (promoted !== undefined && !/^\d{1,10}$/.test(promoted)) return undefined;
  // A mark that cannot be read might forbid any file: such a sentinel proves nothing.
  if (left.includes(undefined)) return undefined;
  return {
    systemIdentifier,
    standby: values.get('standby') ?? '',
    primaryPgdata: values.get('primary_pgdata'),
    promotedAtTimeline: promoted === undefined ? undefined : Number(promoted),
    command: parseCommand(values.get('program'), values.get('ini')),
    left: left.filter((mark) => mark !== undefined),
    ...(diverged.length === 0 ? {} : { diverged }),
  };
}

export async function readSentinel(archivedir: string): Promise<Sentinel | undefined> {
  const content = await readIfExists(join(archivedir, sentinelName));
  return content === undefined ? undefined : parseSentinel(content.toString('utf8'));
}

/**
 * A sentinel that was written, and the directory in which it was written: the path alone may by now lead to another
 * directory.
 */
export interface WrittenSentinel {
  readonly directory: string;
  readonly file: string;
}

async function identityOf(archivedir: string): Promise<WrittenSentinel> {
  const idOf = async (path: string) => {
    const { dev, ino } = await stat(path, { bigint: true });
    return `${dev.toString()}:${ino.toString()}`;
  };
  return { directory: await idOf(archivedir), file: await idOf(join(archivedir, sentinelName)) };
}

/** Every writer holds the lock for a moment only. */
const lockWaitMs = 20_000;

type WriteSentinel = (sentinel: Sentinel) => Promise<WrittenSentinel>;

/**
 * Excludes all other writers of a sentinel while `use` runs, so that none of them takes back what another one wrote.
 * `before` is undefined if there is no sentinel, or one that proves nothing.
 */
export async function withSentinel<T>(
  run: RunCommand,
  archivedir: string,
  use: (before: Sentinel | undefined, write: WriteSentinel) => Promise<T>,
): Promise<T> {
  const path = join(archivedir, sentinelLockName);
  const lock = await takeLock(run, path, lockWaitMs);
  if (lock === undefined) {
    throw new PitrError(`another process is changing "${join(archivedir, sentinelName)}"`, {
      hint: `To see which one: fuser -v ${path}`,
    });
  }
  try {
    return await use(await readSentinel(archivedir), async (sentinel) => {
      await writeDurably(join(archivedir, sentinelName), formatSentinel(sentinel));
      return identityOf(archivedir);
    });
  } finally {
    await lock.release();
  }
}

/** Writes the sentinel that `change` makes of the present one. */
export function updateSentinel(
  run: RunCommand,
  archivedir: string,
  change: (before: Sentinel | undefined) => Sentinel,
): Promise<WrittenSentinel> {
  return withSentinel(run, archivedir, (before, write) => write(change(before)));
}

/** Whether the sentinel that exists there now is the one that was written, in the same directory. */
export async function isStillThere(archivedir: string, written: WrittenSentinel): Promise<boolean> {
  const now = await identityOf(archivedir).catch(() => undefined);
  return now?.directory === written.directory && now.file === written.file;
}
