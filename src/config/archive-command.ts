import { splitWords } from './command-words.ts';
import { defaultIni } from './default-ini.ts';

/** The archiving settings that a server reports. */
export interface Archiving {
  readonly archiveMode: string;
  readonly archiveCommand: string;
  /** From 15 on. */
  readonly archiveLibrary: string;
}

/** A call of our program in an archive_command. */
export interface ArchiveCall {
  readonly program: string;
  /** The file behind `-C`, or the default. */
  readonly iniFile: string;
  /** Whether `-F %p` passes the segment on. */
  readonly passesSegment: boolean;
}

/** The word after a flag, or joined to it. */
function valueOf(words: readonly string[], short: string, long: string): string | undefined {
  const at = words.findIndex((word) => word.startsWith(short) || word.split('=')[0] === long);
  const flag = words[at];
  if (flag === undefined) return undefined;
  if (flag === short || flag === long) return words[at + 1];
  return flag.startsWith(long) ? flag.slice(long.length + 1) : flag.slice(short.length);
}

/**
 * Undefined for another program. It may call ours or not; that cannot be determined from outside. Of two calls, joined by
 * `&&`, the last one counts: the first may be that of release 1.x.
 */
export function archiveCallOf(archiveCommand: string): ArchiveCall | undefined {
  const split = splitWords(archiveCommand);
  const words = split.kind === 'words' ? split.words : archiveCommand.split(/\s+/);
  const at = words.findLastIndex((word) => /(^|\/)cmd_archiver$/.test(word));
  const program = words[at];
  if (program === undefined) return undefined;
  const behind = words.slice(at + 1);
  return {
    program,
    iniFile: valueOf(behind, '-C', '--config') ?? defaultIni('cmd_archiver'),
    passesSegment: valueOf(behind, '-F', '--file') === '%p',
  };
}

/** Whether this server archives by us, as far as the settings alone show it. */
export type ArchivingVerdict =
  | { readonly kind: 'call'; readonly call: ArchiveCall }
  | { readonly kind: 'wrong'; readonly reason: string }
  | { readonly kind: 'unknown'; readonly reason: string };

export function judgeArchiving({ archiveMode, archiveCommand, archiveLibrary }: Archiving): ArchivingVerdict {
  const wrong = (reason: string) => ({ kind: 'wrong', reason }) as const;
  if (archiveMode === 'off') return wrong('archive_mode is off: PostgreSQL archives nothing');
  if (archiveLibrary !== '')
    return wrong(`archive_library is "${archiveLibrary}": PostgreSQL does not run archive_command`);
  if (archiveCommand === '') return wrong('archive_command is empty: PostgreSQL archives nothing');
  const call = archiveCallOf(archiveCommand);
  if (call === undefined) {
    const reason = `archive_command is "${archiveCommand}": whether that runs cmd_archiver cannot be determined`;
    return { kind: 'unknown', reason };
  }
  if (!call.passesSegment)
    return wrong(`archive_command is "${archiveCommand}": it does not pass the segment on by -F %p`);
  return { kind: 'call', call };
}
