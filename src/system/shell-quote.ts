/**
 * Quotes one word for a POSIX shell. Everything but a NUL byte survives, including a newline. A leading dash needs
 * `--` or `./`.
 */
export function shellQuote(word: string): string {
  if (word.includes('\0')) throw new TypeError('a shell word cannot hold a NUL byte');
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Quotes words for `rsync -e`, which splits at blanks and takes a doubled quote for one quote (manual, `--rsh`). */
export function rsyncShellOption(words: readonly string[]): string {
  return words
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "''")}'`))
    .join(' ');
}
