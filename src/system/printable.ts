/** Control characters (an escape sequence, a carriage return, a NUL), what turns the direction of text, and halves of a character. */
const unprintable = /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}\p{Cs}]/gu;
const named: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** Whole JSON stays JSON: it has no character below the blank but line feeds, and reads the longer form. */
function escape(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  const hex = code.toString(16);
  return named[character] ?? (code < 0x20 ? `\\x${hex.padStart(2, '0')}` : `\\u${hex.padStart(4, '0')}`);
}

/**
 * A text with its control characters escaped, for whatever shows it: a terminal, a log, a notification. Words of another host, of
 * a file or of a program may hold any. Line feeds and tabs stay: our own messages have them.
 */
export function printable(text: string): string {
  return text.replaceAll(unprintable, (character) =>
    character === '\n' || character === '\t' ? character : escape(character),
  );
}

const longestQuote = 500;

/** Words that are not ours, to be quoted within a message: one line, and not longer than a person reads. */
export function quoted(text: string, longest = longestQuote): string {
  const line = text.trim().replaceAll(unprintable, escape);
  return line.length <= longest ? line : `${line.slice(0, longest)} … (${line.length} characters)`;
}
