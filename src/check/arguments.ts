/** The command line of --check, which both programs have. */
import { usageError } from '../errors.ts';
import { quoted } from '../system/printable.ts';

/** For both programs' tables of flags. */
export const checkFlags = {
  check: [
    'Look',
    '--check [NAME...]',
    'check by trying it that all hosts work together, and show the way out of each trouble; with names, only these checks',
  ],
} as const;

/** The names behind --check: words, or several in one word, separated by commas. None: all checks. */
export function checkNames(given: readonly string[] | true): readonly string[] {
  return (given === true ? [] : given).flatMap((word) => word.split(',')).filter((name) => name !== '');
}

/** Throws a usage error for a name that no check has. */
export function requireKnown(names: readonly string[], known: object): void {
  const stranger = names.find((name) => !Object.hasOwn(known, name));
  if (stranger === undefined) return;
  throw usageError(
    `there is no check "${quoted(stranger, 100)}"`,
    `The checks are ${Object.keys(known).join(', ')}.`,
  );
}
