import { splitWords } from './command-words.ts';
import type { ExpectedKind, Option, OptionTable, ProgramLine } from './option.ts';

/** Something that a setting says is on this host. */
export interface ExpectedPath {
  readonly key: string;
  readonly kind: ExpectedKind;
  /** Absolute, but for a program that is to be looked for in `includepath` and PATH. */
  readonly path: string;
}

/** What the settings expect to find on this host. Whether it is there is for the caller to see. */
export function listExpectedPaths(table: OptionTable, settings: object): ExpectedPath[] {
  const values: Readonly<Record<string, unknown>> = { ...settings };
  return Object.entries(table).flatMap(([key, option]) => {
    const { expects: kind } = option;
    if (kind === undefined || values[key] === undefined) return [];
    return pathsOf(option, values[key]).map((path) => ({ key, kind, path }));
  });
}

function pathsOf(option: Option, value: unknown): readonly string[] {
  if (option.kind === 'search-path') return value as readonly string[];
  if (option.kind === 'program') return [(value as ProgramLine).program];
  if (option.kind === 'shell') return scriptOf(value as string);
  return [value as string];
}

/** The script that a shell command plainly begins with; more of a command line is the shell's business. */
function scriptOf(command: string): string[] {
  const split = splitWords(command);
  const first = split.kind === 'words' ? split.words[0] : undefined;
  return first?.startsWith('/') === true && /^[\w./+-]+$/.test(first) ? [first] : [];
}
