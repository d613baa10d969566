/** Reads rsync's output, while it copies a group of files and when it has ended. */

/** The progress of the group, from `--info=progress2`. */
export interface RsyncProgress {
  /** The size of the transferred files; unchanged files do not count. */
  readonly bytes: number;
  /** Number of entries that rsync has not examined yet; `total` is the number of all entries. */
  readonly remaining: number | undefined;
  readonly total: number | undefined;
}

const progressLine = /^\s*([\d,.]+)\s+\d+%\s+\S+\s+\S+(?:\s+\(xfr#\d+, (?:to|ir)-chk=(\d+)\/(\d+)\))?\s*$/;

function wholeNumber(text: string): number {
  return Number(text.replaceAll(/\D/g, ''));
}

export function parseProgress(line: string): RsyncProgress | undefined {
  const match = progressLine.exec(line);
  if (match === null) return undefined;
  const [, bytes = '', remaining, total] = match;
  return {
    bytes: wholeNumber(bytes),
    remaining: remaining === undefined ? undefined : Number(remaining),
    total: total === undefined ? undefined : Number(total),
  };
}

/** From `--stats`, in bytes. */
export interface TransferStatistics {
  readonly literal: number;
  readonly received: number;
}

/** Adds the numbers in a line of the statistics. Other lines change nothing. */
export function addStatistics(sum: TransferStatistics, line: string): TransferStatistics {
  const match = /^(Literal data|Total bytes received): ([\d,.]+)/.exec(line);
  if (match === null) return sum;
  const bytes = wholeNumber(match[2] ?? '');
  return match[1] === 'Literal data'
    ? { ...sum, literal: sum.literal + bytes }
    : { ...sum, received: sum.received + bytes };
}

/** The messages of an rsync that ended with 23 about files that it did not transfer. */
export interface PartialTransfer {
  /** The paths in the form in which rsync printed them. */
  readonly paths: readonly string[];
  /** The paths of the other end's daemon: its module is their root. */
  readonly modulePaths: readonly string[];
  /** Lines that name no file: whatever they mean, they do not report a vanished file. */
  readonly others: readonly string[];
}

/** rsync prints an unprintable byte as a backslash, a hash and three octal digits. */
function decodeName(text: string): string {
  const bytes = text.replaceAll(/\\#([0-7]{3})/g, (_all, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
  return bytes === text ? text : Buffer.from(bytes, 'latin1').toString('utf8');
}

/** Lines at the end that report no single file. */
const summaryLine = /^rsync error: |^rsync warning: |^\s*$/;

/** The daemon names its module behind a path; the rsync on this host does not. */
const namedPath = /"(.*)"( \(in [^"()]+\))?/;

export function parsePartialTransfer(stderr: string): PartialTransfer {
  const lines = stderr.split('\n').filter((line) => !summaryLine.test(line));
  const paths: string[] = [];
  const modulePaths: string[] = [];
  const others: string[] = [];
  for (const line of lines) {
    const [, path, module] = namedPath.exec(line) ?? [];
    if (path === undefined) others.push(line);
    else (module === undefined ? paths : modulePaths).push(decodeName(path));
  }
  return { paths, modulePaths, others };
}
