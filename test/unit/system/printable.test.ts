import { expect, test } from 'vitest';
import { printable, quoted } from '../../../src/system/printable.ts';

test.each([
  ['an escape sequence', 'a\x1b]0;title\x07b', 'a\\x1b]0;title\\x07b'],
  ['a carriage return', 'ERROR\rOK', 'ERROR\\rOK'],
  ['a NUL', 'a\0b', 'a\\x00b'],
  ['a control character of one byte beyond ASCII', 'a\x9b2Jb', 'a\\u009b2Jb'],
  ['what turns the direction of text', 'a\u202eb', 'a\\u202eb'],
  ['a line separator', 'a\u2028b', 'a\\u2028b'],
])('%s is shown escaped', (_what, text, shown) => {
  expect(printable(text)).toBe(shown);
  expect(quoted(text)).toBe(shown);
});

test('plain text, other languages, line feeds and tabs are shown unchanged', () => {
  const text = 'größer 日本語 🐘\n\tDETAIL: x';
  expect(printable(text)).toBe(text);
});

test('JSON of any text stays JSON of the same text', () => {
  const value = { a: '\x1b\x7f\x9b\u202e\u2028\0"\\ \n' };
  const shown = printable(JSON.stringify(value, null, 2));
  expect(JSON.parse(shown)).toEqual(value);
  expect(shown).not.toMatch(/[^\P{Cc}\n]|\p{Bidi_Control}/u);
});

test('a quotation is one line, and shortened', () => {
  expect(quoted(' a\nERROR: b\n')).toBe('a\\nERROR: b');
  expect(quoted('x'.repeat(10), 4)).toBe('xxxx … (10 characters)');
});
