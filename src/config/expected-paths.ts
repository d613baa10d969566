import type { CommandLine } from '../command-line.ts';
import { splitWords } from './command-words.ts';
import type { ExpectedKind, Option, OptionTable, UsedWhere } from './option.ts';

/** A file, directory or program that must exist on this host according to a setting. */
export interface ExpectedPath {
  readonly key: string;
  readonly kind: ExpectedKind;
  /** Absolute, except for a program that is looked for in `includepath` and PATH. */
  readonly path: string;
}

/** If the release is not known, we assume that it uses the setting: then what is missing gets reported. */
function isUsed(usedWhere: UsedWhere | undefined, release: UsedWhere | undefined): boolean {
  if (usedWhere === undefined || release === undefined) return true;
  const facts: Readonly<Record<string, unknown>> = { ...release };
  return Object.entries(usedWhere).every(([fact, wanted]) => facts[fact] === wanted);
}

/**
 * The files, directories and programs that the settings expect on this host. The caller checks whether they exist.
 *
 * @param release of the server here, if it is known: things that it does not use need not exist
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

/** The script at the beginning of a shell command. We interpret no more of the command line than that. */
function scriptOf(command: string): string[] {
  const split = splitWords(command);
  const first = split.kind === 'words' ? split.words[0] : undefined;
  return first?.startsWith('/') === true && /^[\w./+-]+$/.test(first) ? [first] : [];
}
