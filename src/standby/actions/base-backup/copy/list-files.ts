import { PitrError, refusal } from '../../../../errors.ts';
import { quoted } from '../../../../system/printable.ts';
import { refusalMark } from '../../../../system/served.ts';
import type { RemoteShell } from '../../../../system/ssh.ts';
import { dataWork } from '../../../../verbs/data-requests.ts';
import { type CopyRules, withoutUnlogged } from '../../../host/copy-rules.ts';
import { keyRefused, lostConnection } from '../../../primary/remote-files.ts';
import {
  type CopyRoot,
  type DirectoryLink,
  type PlannedDirectory,
  type PlannedFile,
  printablePath,
} from './planned-files.ts';

/** The entries below a root on the primary that the rules allow to be copied. */
export type RootListing = Pick<CopyRoot, 'source' | 'directories' | 'files' | 'links' | 'bytes'>;

const escapes: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

/** Reverses the encoding by sed. A NUL in the encoded text means a line feed, because tr exchanged the two. */
function decodePath(text: string): string {
  if (!text.includes('\\')) return text;
  return text.replaceAll(/\\(?:([0-7]{3})|(.))/gs, (_all, octal: string | undefined, letter: string) => {
    if (octal === undefined) return escapes[letter] ?? letter;
    const code = Number.parseInt(octal, 8);
    return code === 0 ? '\n' : String.fromCharCode(code);
  });
}

/** The limit of a listing in bytes: enough for ten million files with paths of a hundred characters. */
const longestListing = 1024 ** 3;

/**
 * Whether a path stays below the root. Whatever the other host prints, nothing outside the root is made, changed or
 * removed.
 */
function staysInside(path: string): boolean {
  const isStep = (part: string) => part !== '' && part !== '.' && part !== '..';
  return path === '' || (!path.includes('\0') && path.split('/').every(isStep));
}

/** The information from the lines of a listing that were read so far. */
function emptyListing(source: string) {
  return {
    directories: [] as PlannedDirectory[],
    files: [] as PlannedFile[],
    links: [] as DirectoryLink[],
    /** The real path of the root. */
    source,
    /** The real path of the directory in the next line. */
    place: undefined as string | undefined,
    unreadable: [] as string[],
    said: [] as string[],
    isGone: false,
    /** Whether find came to its end. */
    hasEnded: false,
    /** The reason why the list cannot be trusted. */
    untrusted: undefined as string | undefined,
  };
}

type Listing = ReturnType<typeof emptyListing>;

const entryLine = /^([dDfFlp]) ([0-7]+) (\d+) ([^]*)\$$/;
/** A running server removes files all the time, also while find lists them. */
const isHarmless = (text: string) => text === '' || text.includes('No such file or directory');

function collect(into: Listing, line: string, listed: Listed): void {
  const [, kind, mode = '', size = '', path = ''] = entryLine.exec(line) ?? [];
  if (kind !== undefined) collectEntry(into, { kind, mode, size, path: decodePath(path) }, listed);
  else if (line === 'gone') into.isGone = true;
  else if (/^Z \d+\$$/.test(line)) into.hasEnded = true;
  else if (line.startsWith('E ') && !isHarmless(line.slice(2))) into.said.push(line.slice(2));
}

function collectEntry(
  into: Listing,
  { kind, mode, size, path }: Record<'kind' | 'mode' | 'size' | 'path', string>,
  { rules, source, where }: Listed,
): void {
  // The place belongs to the next line, whether that entry is copied or not.
  const { place } = into;
  into.place = kind === 'p' ? printablePath(path) : undefined;
  if (kind === 'p') return;
  if (!staysInside(path))
    into.untrusted ??= `the list of the files of "${source}" on ${where} names a file outside of it: "${quoted(printablePath(path))}"`;
  else if (path !== '' && !rules.isCopied(path)) return;
  else if (kind === 'D' || kind === 'F') into.unreadable.push(path);
  else if (kind === 'd') collectDirectory(into, { path, mode: Number.parseInt(mode, 8) }, place);
  else into.files.push({ path, size: kind === 'l' ? 0 : Number(size), isLink: kind === 'l' });
}

/** A real path that is not valid text cannot be passed to rsync: then rsync must follow the link itself. */
function collectDirectory(into: Listing, { path, mode }: PlannedDirectory, place: string | undefined): void {
  into.directories.push({ path, mode });
  if (place?.startsWith('/') !== true || `${place}${printablePath(path)}`.includes('\ufffd')) return;
  if (path === '') into.source = place;
  else into.links.push({ path, directory: place });
}

const shownFiles = 10;

function listWork(root: string, { unread, linksLeftAlone }: CopyRules) {
  return dataWork('files', { root, unread, leftAlone: linksLeftAlone });
}

/** A root that is to be listed. */
export interface Listed {
  readonly source: string;
  readonly rules: CopyRules;
  /** The host, for messages. */
  readonly where: string;
}

function refuseUnreadable({ source, where }: Listed, paths: readonly string[], user: string): void {
  if (paths.length === 0) return;
  const shown = paths.slice(0, shownFiles).map((path) => `${source}/${printablePath(path)}`);
  const more = paths.length > shownFiles ? [`and ${paths.length - shownFiles} more`] : [];
  throw refusal(`${paths.length} files on ${where} cannot be read by ${user}`, {
    detail: [...shown, ...more].join('\n'),
    hint: 'Nothing was copied. Change their owner there to that of the data directory, or move them out of it.',
  });
}

/**
 * Lists the files of one root that must be copied; undefined if there is no such directory. Refuses files that cannot
 * be read.
 */
export async function listRoot(
  shell: RemoteShell,
  listed: Listed,
  limitMs: number,
): Promise<RootListing | undefined> {
  const { source, rules, where } = listed;
  const found = emptyListing(source);
  let refused: string | undefined;
  const result = await shell.run(listWork(source, rules), {
    limitMs,
    maxOutputBytes: longestListing,
    onLine: (line) => {
      if (line.startsWith(refusalMark)) refused ??= line.slice(refusalMark.length);
      else collect(found, line, listed);
    },
  });
  if (result.kind === 'lost') throw lostConnection(shell, result.reason);
  if (refused !== undefined) throw keyRefused(shell, refused);
  if (found.untrusted !== undefined)
    throw new PitrError(found.untrusted, {
      hint: 'Nothing was copied. A correct find never prints this: check that host.',
    });
  if (found.isGone) return undefined;
  refuseUnreadable(listed, found.unreadable, shell.target.user);
  if (!found.hasEnded || found.said.length > 0) {
    throw new PitrError(`cannot list the files of "${source}" on ${where}`, {
      detail: found.said.slice(0, shownFiles).join('\n') || `find was ended before it had finished`,
      hint: `The user ${shell.target.user} must be able to read all of it.`,
    });
  }
  const files = withoutUnlogged(found.files);
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  return { source: found.source, directories: found.directories, files, links: found.links, bytes };
}
