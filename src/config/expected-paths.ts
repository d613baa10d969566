import type { CommandLine } from '../command-line.ts';
import { splitWords } from './command-words.ts';
import type { ExpectedKind, Option, OptionTable, UsedWhere } from './option.ts';

/** Something that a setting says is on this host. */
export interface ExpectedPath {
  readonly key: string;
  readonly kind: ExpectedKind;
  /** Absolute, but for a program that is to be looked for in `includepath` and PATH. */
  readonly path: string;
}

/** In doubt it is: where nobody knows the release, what is missing is named. */
function isUsed(usedWhere: UsedWhere | undefined, release: UsedWhere | undefined): boolean {
  if (usedWhere === undefined || release === undefined) return true;
  const facts: Readonly<Record<string, unknown>> = { ...release };
  return Object.entries(usedWhere).every(([fact, wanted]) => facts[fact] === wanted);
}

/**
 * What the settings expect to find on this host. Whether it is there is for the caller to see.
 *
 * @param release of the server here, as far as it is known: what it does not use need not be there
 */
export function listExpectedPaths(table: OptionTable, settings: object, release?: UsedWhere): ExpectedPath[] {
  const values: Readonly<Record<string, unknown>> = { ...settings };
  return Object.entries(table).flatMap(([key, option]) => {
    const { expects: kind, usedWhere } = option;
    if (kind === undefined || values[key] === undefined || !isUsed(usedWhere, release)) return [];
    return pathsOf(option, values[key]).map((path) => ({ key, kind, path }));
  });
}

function pathsOf(option: Option, value: unknown): readonly string[] {
  if (option.kind === 'search-path') return value as readonly string[];
  if (option.kind === 'program') return [(value as CommandLine).program];
  if (option.kind === 'shell') return scriptOf(value as string);
  return [value as string];
}

/** The script that a shell command plainly begins with; more of a command line is the shell's business. */
function scriptOf(command: string): string[] {
  const split = splitWords(command);
  const first = split.kind === 'words' ? split.words[0] : undefined;
  return first?.startsWith('/') === true && /^[\w./+-]+$/.test(first) ? [first] : [];
}
