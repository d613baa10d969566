import { usageError } from '../errors.ts';
import { quoted } from '../system/printable.ts';
import type { AnyArgument } from './arguments.ts';
import { type ArgumentsOf, type VerbName, verbs } from './verbs.ts';

/** A verb that another host asks for, with its arguments. */
export type VerbCall = {
  readonly [Name in VerbName]: { readonly name: Name; readonly arguments: ArgumentsOf<Name> };
}[VerbName];

function isVerb(word: string): word is VerbName {
  return Object.hasOwn(verbs, word);
}

/** Reads the line that `verbLine` writes. Throws a usage error that names the word it refuses. */
export function readVerbCall(line: string): VerbCall {
  const [name = '', ...words] = line.split(' ');
  if (!isVerb(name))
    throw usageError(`unknown verb "${quoted(name, 50)}"`, `Known are ${Object.keys(verbs).join(', ')}.`);
  const kinds: readonly [string, AnyArgument][] = Object.entries(verbs[name].arguments);
  if (words.length !== kinds.length)
    throw usageError(
      `${name} takes ${kinds.length} arguments, not ${words.length}`,
      `Given: "${quoted(line)}"`,
    );
  const values = kinds.map(([key, { parse, what }], index) => {
    const word = words[index] ?? '';
    const value = parse(word);
    if (value === undefined)
      throw usageError(`${name}: "${quoted(word, 100)}" is not ${what}`, `Given: "${quoted(line)}"`);
    return [key, value] as const;
  });
  // Each value was parsed by the kind of the argument of that name.
  return { name, arguments: Object.fromEntries(values) } as VerbCall;
}
