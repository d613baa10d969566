import { parseWalName, type SegmentName } from '../../postgres/wal-name.ts';
import { quoted } from '../../system/printable.ts';
import { parseSentinel, type Sentinel } from '../../system/sentinel.ts';
import { takesLine, unpacksLine } from '../../verbs/scripts/delivery.ts';
import { notUnpackedWord } from '../../verbs/scripts/unpack.ts';
import { failed, type Trouble } from './trouble.ts';

/** One line of the commit script: the outcome of one file. */
export type FileAnswer =
  | { readonly kind: 'stored' | 'same' | 'absent'; readonly name: string }
  | { readonly kind: 'short'; readonly name: string; readonly size: string }
  | { readonly kind: 'conflict'; readonly name: string; readonly there: string; readonly ours: string }
  | { readonly kind: 'failed'; readonly name: string; readonly reason: string };

interface Words {
  readonly word: string;
  readonly rest: string;
}

function splitFirst(line: string): Words {
  const blank = line.indexOf(' ');
  return blank < 0 ? { word: line, rest: '' } : { word: line.slice(0, blank), rest: line.slice(blank + 1) };
}

/** The reason why a directory cannot serve as an archive, and how to solve it. */
export function unfitness(
  word: 'open' | 'no-links',
  fact: string,
  archivedir: string,
): { readonly reason: string; readonly hint: string } {
  if (word === 'open') {
    return {
      reason: `${archivedir} has mode ${quoted(fact)}: other users can write to it, so its WAL cannot be trusted`,
      hint: `On the standby: chmod go-w ${archivedir}`,
    };
  }
  return {
    reason: `${archivedir} lies on a file system without hard links (${quoted(fact)})`,
    hint: 'Files get their names by hard links, which never replace another file. Use a file system that has hard links, such as ext4, XFS or NFS (CIFS and some FUSE file systems have none).',
  };
}

function placeTrouble({ word, rest }: Words, archivedir: string): Trouble | undefined {
  switch (word) {
    case 'no-directory':
      return {
        kind: 'no-directory',
        reason: `there is no directory ${archivedir}`,
        hint: 'Run cmd_standby -C FILE -I on the standby; if you have done that already, its file system may be unmounted.',
      };
    case 'unusable':
      return failed(`${archivedir} cannot be used: ${quoted(rest)}`);
    case 'open':
    case 'no-links':
      return { kind: 'unfit', ...unfitness(word, rest, archivedir) };
    case 'no-sentinel':
      return {
        kind: 'no-sentinel',
        reason: `${archivedir} has no sentinel .pitrtools`,
        hint: 'Its file system may be unmounted. If it is the right directory, run cmd_standby -I there (or cmd_archiver -I --plant NAME here).',
      };
    case 'foreign':
      return {
        kind: 'foreign',
        reason: `${archivedir} belongs to another cluster (${rest === '' ? 'its sentinel contains no system identifier' : quoted(rest, 100)})`,
        hint: 'Check host and r_archivedir of this standby.',
      };
    case 'promoted':
      return {
        kind: 'promoted',
        reason: `the standby was promoted (timeline ${quoted(rest, 100)}) and takes no WAL from this server any more`,
        hint: 'If that server is the primary now, stop this server, and make it its standby (cmd_standby --rejoin, see doc/rejoin.md). To make that server a standby again, make a new base backup there.',
      };
    case 'marks-changed':
      return {
        kind: 'marks-changed',
        reason: `the timelines that were left changed in ${archivedir} while files were sent`,
      };
    case 'unflushed':
      return failed(`${archivedir} cannot be flushed: ${quoted(rest)}`);
    default:
      return undefined;
  }
}

function readRequest(words: readonly Words[]): string | undefined {
  const text = words.find(({ word }) => word === 'resume')?.rest;
  return text !== undefined && /^[\w.-]{1,100}$/.test(text) ? text : undefined;
}

function restsOf(words: readonly Words[], wanted: string): readonly string[] {
  return words.filter(({ word }) => word === wanted).map(({ rest }) => rest);
}

const leftKey = 'left:';

function readSentinelLines(words: readonly Words[]): Pick<Answers, 'sentinel' | 'marks'> {
  const lines = restsOf(words, 'sentinel');
  const left = lines.filter((line) => line.startsWith(leftKey));
  return {
    sentinel: lines.length === 0 ? undefined : parseSentinel(lines.join('\n')),
    // As the shell reads them.
    marks: left.map((line) => line.slice(leftKey.length).trim()),
  };
}

/** Digests as the commit script makes them: by sha256sum or, if that does not exist, by cksum. */
const twoDigests = /^((?:sha256|cksum):\S*) ((?:sha256|cksum):\S*)$/;

const fileWords = new Set(['stored', 'same', 'absent', 'short', 'failed', 'conflict']);

/** An answer of a known kind is valid only in the exact form in which the script prints it. */
function readFileAnswer({ word, rest }: Words): FileAnswer | undefined {
  const { word: name, rest: fact } = splitFirst(rest);
  if (!fileWords.has(word)) return undefined;
  if (/^[\w.]{1,100}$/.test(name)) {
    if ((word === 'stored' || word === 'same' || word === 'absent') && fact === '')
      return { kind: word, name };
    if (word === 'short' && /^\d+$/.test(fact)) return { kind: 'short', name, size: fact };
    if (word === 'failed') return { kind: 'failed', name, reason: quoted(fact) };
    const [, there = '', ours = ''] = twoDigests.exec(fact) ?? [];
    if (word === 'conflict' && there !== '')
      return { kind: 'conflict', name, there: quoted(there, 100), ours: quoted(ours, 100) };
  }
  const reason = `the standby's answer is not understood: "${quoted(`${word} ${rest}`, 200)}"`;
  return { kind: 'failed', name: quoted(name, 100), reason };
}

/** The answers of the standby's shell to one of our scripts. */
export interface Answers {
  /** Nonce of a resume request that a base backup left there. A lasting connection is greeted only once. */
  readonly resumeRequest: string | undefined;
  /** The reason why nothing was done: the archive directory cannot be used. */
  readonly trouble: Trouble | undefined;
  /** archivedir without symbolic links; only the first script returns it. */
  readonly directory: string | undefined;
  /** Undefined if the first script did not come that far, or if the sentinel proves nothing. */
  readonly sentinel: Sentinel | undefined;
  /** The texts of its `left:` lines. */
  readonly marks: readonly string[];
  /** The newest segment there of each timeline that was left. */
  readonly newest: readonly SegmentName[];
  /** Single segments can be taken there without rsync. */
  readonly takesSegments: boolean;
  /** Frames can be unpacked there. */
  readonly unpacks: boolean;
  /** Why the frames of a batch were not unpacked. */
  readonly notUnpacked: string | undefined;
  /** The first script was carried out. */
  readonly isReady: boolean;
  /** The outcome of each file; only the commit script returns it. */
  readonly files: readonly FileAnswer[];
}

export function readAnswers(lines: readonly string[], archivedir: string): Answers {
  const words = lines.map(splitFirst);
  return {
    resumeRequest: readRequest(words),
    trouble: words.map((each) => placeTrouble(each, archivedir)).find((trouble) => trouble !== undefined),
    directory: words.find(({ word, rest }) => word === 'path' && rest.startsWith('/'))?.rest,
    ...readSentinelLines(words),
    newest: restsOf(words, 'newest')
      .map(parseWalName)
      .filter((name) => name.kind === 'segment'),
    takesSegments: lines.includes(takesLine),
    unpacks: lines.includes(unpacksLine),
    notUnpacked: words.find(({ word }) => word === notUnpackedWord)?.rest,
    isReady: words.some(({ word }) => word === 'ready'),
    files: words.map(readFileAnswer).filter((answer) => answer !== undefined),
  };
}

/** The reason why a file did not get its name. Undefined if it did. */
export function troubleOf(answer: FileAnswer, standby: string): Trouble | undefined {
  switch (answer.kind) {
    case 'stored':
    case 'same':
      return undefined;
    case 'absent':
      return {
        kind: 'in-recovery',
        reason: `this server is in recovery, and the standby does not have ${answer.name} yet`,
        hint: 'A server in recovery only confirms WAL that its own primary has delivered. After its promotion it delivers by itself.',
      };
    case 'short':
      return failed(`${answer.name} arrived with ${answer.size} bytes`);
    case 'failed':
      return failed(`${answer.name}: ${answer.reason}`);
    case 'conflict':
      return {
        kind: 'conflict',
        reason: `the standby holds a different file named ${answer.name} (there: ${answer.there}; here: ${answer.ours})`,
        hint: `Nothing was replaced. To solve this, run cmd_archiver --abandon ${standby}, then make a new base backup on that standby.`,
      };
  }
}
