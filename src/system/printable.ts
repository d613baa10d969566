/**
 * Control characters (an escape sequence, a carriage return, a NUL), characters that turn the direction of text, and
 * halves of a character.
 */
const unprintable = /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}\p{Cs}]/gu;
const named: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** Valid JSON stays valid: its only characters below the blank are line feeds, and it allows the longer form. */
function escape(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  const hex = code.toString(16);
  return named[character] ?? (code < 0x20 ? `\\x${hex.padStart(2, '0')}` : `\\u${hex.padStart(4, '0')}`);
}

/**
 * A text with its control characters escaped, for a terminal, a log or a notification. Text from another host, a file
 * or a program may contain any. Line feeds and tabs stay, because our own messages have them.
 */
export function printable(text: string): string {
  return text.replaceAll(unprintable, (character) =>
    character === '\n' || character === '\t' ? character : escape(character),
  );
}

const longestQuote = 500;

/** Foreign text, quoted within a message: one line, and not longer than a person reads. */
export function quoted(text: string, longest = longestQuote): string {
  const line = text.trim().replaceAll(unprintable, escape);
  return line.length <= longest ? line : `${line.slice(0, longest)} … (${line.length} characters)`;
}
