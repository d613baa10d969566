export type WordsResult =
  | { readonly kind: 'words'; readonly words: readonly string[] }
  | { readonly kind: 'problem'; readonly message: string };

/**
 * Splits a command line into words as a shell does with blanks, quotes and backslashes, but expands nothing: a word
 * never goes through a shell.
 */
export function splitWords(text: string): WordsResult {
  const words: string[] = [];
  let word: string | undefined;
  const pattern = /(\s+)|'([^']*)'|"((?:[^"\\]|\\[\s\S])*)"|\\([\s\S])|([^\s'"\\]+)|([\s\S])/g;
  for (const match of text.matchAll(pattern)) {
    const [, blanks, single, double, escaped, plain, broken] = match;
    if (broken !== undefined) return { kind: 'problem', message: brokenQuote(broken) };
    if (blanks !== undefined) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else {
      word = (word ?? '') + (single ?? double?.replace(/\\(["\\])/g, '$1') ?? escaped ?? plain ?? '');
    }
  }
  if (word !== undefined) words.push(word);
  return { kind: 'words', words };
}

function brokenQuote(character: string): string {
  return character === '\\' ? 'ends in a backslash' : `has a ${character} that is never closed`;
}
