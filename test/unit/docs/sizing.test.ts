import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { checkout } from '../../harness/checkout.ts';

const page = readFileSync(checkout('doc', 'sizing.md'), 'utf8');

interface Example {
  readonly line: string;
  readonly computed: number;
  readonly shown: number;
}

type Operator = '+' | '-' | '*' | '/';

const operate: Readonly<Record<Operator, (a: number, b: number) => number>> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => a / b,
};

/** From left to right; the examples need no other order, and one pair of parentheses at the end. */
function valueOf(words: readonly string[]): number {
  const open = words.indexOf('(');
  if (open !== -1) return valueOf([...words.slice(0, open), String(valueOf(words.slice(open + 1, -1)))]);
  const [first = '', ...rest] = words;
  let value = Number(first);
  for (let at = 0; at < rest.length; at += 2)
    value = operate[rest[at] as Operator](value, Number(rest[at + 1]));
  return value;
}

/** A number may have a unit behind it: `GB/h`. */
function wordsOf(formula: string): readonly string[] {
  return [...formula.matchAll(/(\d[\d.]*)(?: [A-Za-z]+(?:\/[a-z]+)?)?|[-+*/()]/g)].map(
    ([whole, digits]) => digits ?? whole,
  );
}

const examples: readonly Example[] = [...page.matchAll(/^(\d[^=\n]*) = ([\d.]+) \S.*$/gm)].map(
  ([line, formula = '', shown = '']) => ({ line, computed: valueOf(wordsOf(formula)), shown: Number(shown) }),
);

test.each(examples)('$line', ({ computed, shown }) => {
  expect(Math.abs(computed - shown) / computed).toBeLessThan(0.02);
});

test('doc/sizing.md has worked numbers', () => {
  expect(examples.length).toBeGreaterThan(15);
});
