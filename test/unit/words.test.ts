import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Prose, proseOf, proseOfPage, proseOfSource } from '../../scripts/lib/prose.js';

interface Rule {
  readonly breach: RegExp;
  readonly better: string;
  /** Where the rule applies; everywhere if not said. */
  readonly kind?: Prose['kind'];
}

/** Words that have cost readers time, each with the word to use. */
const rules: readonly Rule[] = [
  {
    breach: /^(?:What|Who|So|Of|That)\b/,
    better: 'a noun with its article, or a verb',
    kind: 'comment',
  },
  { breach: /\bmay not\b/i, better: 'cannot, or must not' },
  { breach: /\b(?:go|goes|going|gone|went) on\b/i, better: 'continue, resume' },
  { breach: /\b(?:break|breaks|breaking|broke|broken) off\b/i, better: 'interrupt' },
  { breach: /\b(?:leave|leaves|leaving|left) off\b/i, better: 'interrupt, put on hold' },
  { breach: /\b(?:tell|tells|telling|told)\b/i, better: 'report, say, show, determine, distinguish' },
  { breach: /\b(?:somebody|someone|whoever)\b/i, better: 'the operator, a process, a caller' },
  { breach: /\bfor ever\b/i, better: 'forever' },
];

function breachesOf(prose: readonly Prose[]): readonly string[] {
  return prose.flatMap(({ file, line, kind, text }) =>
    rules.flatMap((rule) => {
      const found = rule.kind === undefined || rule.kind === kind ? rule.breach.exec(text) : null;
      return found === null ? [] : [`${file}:${line}: "${found[0]}" in a ${kind}: ${rule.better}`];
    }),
  );
}

const prose = proseOf(join(import.meta.dirname, '..', '..'));

describe('the words of the project', () => {
  test('follow the rules', () => {
    expect(breachesOf(prose)).toEqual([]);
  });

  test.each(['comment', 'message', 'sentence'])('are read: every %s', (kind) => {
    expect(prose.filter((one) => one.kind === kind).length).toBeGreaterThan(1000);
  });
});

test('a breach of the rules is found with its line, in comments, messages and pages', () => {
  const source = [
    '/** What a queue holds. */',
    "const queue = /\\/\\/ What/.exec('it may not be full');",
    '// It waits, and',
    '// goes on.',
    'export { queue };',
  ].join('\n');
  expect(breachesOf(proseOfSource('a.ts', source))).toEqual([
    'a.ts:1: "What" in a comment: a noun with its article, or a verb',
    'a.ts:3: "goes on" in a comment: continue, resume',
    'a.ts:2: "may not" in a message: cannot, or must not',
  ]);
  const page =
    '# A queue\n\nIt is full. Somebody\nwaits for it.\n\n```\nwhoever runs it\n```\n\n| for | ever |\n| --- | --- |\n| it waits for ever | x |\n';
  expect(breachesOf(proseOfPage('a.md', page))).toEqual([
    'a.md:3: "Somebody" in a sentence: the operator, a process, a caller',
    'a.md:12: "for ever" in a sentence: forever',
  ]);
});
