/**
 * A request that is carried out by a script. The same function makes the script that a client sends to a full shell and
 * the one that the program of a restricted key runs itself: there, only the words of the request come from the client.
 */
import type { RemoteWork } from '../system/ssh.ts';
import type { AnyArgument, ArgumentKind } from './arguments.ts';

export type Arguments = Readonly<Record<string, AnyArgument>>;
export type ValuesOf<A extends Arguments> = {
  readonly [Each in keyof A]: A[Each] extends ArgumentKind<infer T> ? T : never;
};

export interface ScriptRequest<Place, A extends Arguments> {
  /** In the order in which they are written. */
  readonly arguments: A;
  /** POSIX sh. `place` comes from the INI file of the host that makes the script. */
  readonly script: (place: Place, args: ValuesOf<A>) => string;
  /** Its output is the bytes of files: it needs a session of its own. */
  readonly streams?: true;
}

/** A request of some kind, in a table: its place and its arguments belong to each other only by its name. */
export interface AnyScriptRequest {
  readonly arguments: Arguments;
  readonly script: (place: never, args: never) => string;
  readonly streams?: true;
}

function wordsOf<A extends Arguments>(kinds: A, values: ValuesOf<A>): readonly string[] {
  return Object.entries(kinds).map(([key, { format }]) => format(values[key as keyof A] as never));
}

/** Undefined if a word is not of its kind; `what` says which. */
export function readWords(
  kinds: Arguments,
  words: readonly string[],
): { readonly values: Readonly<Record<string, unknown>> } | { readonly wrong: string } {
  const entries = Object.entries(kinds);
  if (words.length !== entries.length)
    return { wrong: `takes ${entries.length} arguments, not ${words.length}` };
  const values: [string, unknown][] = [];
  for (const [index, [key, { parse, what }]] of entries.entries()) {
    const value = parse(words[index] ?? '');
    if (value === undefined) return { wrong: `argument ${index + 1} is not ${what}` };
    values.push([key, value]);
  }
  return { values: Object.fromEntries(values) };
}

export function workOf<Place, A extends Arguments>(
  name: string,
  { arguments: kinds, script }: ScriptRequest<Place, A>,
  place: Place,
  args: ValuesOf<A>,
): Exclude<RemoteWork, string> {
  return { script: script(place, args), request: [name, ...wordsOf(kinds, args)].join(' ') };
}
