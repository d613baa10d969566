// Reads the prose of the project: comments and messages of the sources, sentences of the documentation. Used by
// scripts/sample-sentences and by test/unit/words.test.ts.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';

/** Comment marks, and the asterisks at the beginning of the lines between them. */
function bareText(comment) {
  return comment
    .replace(/^\/\*+|\*+\/$|^\/\/+/g, '')
    .split('\n')
    .map((line) => line.replace(/^\s*(\*|\/\/)?\s?/, '').trimEnd())
    .join('\n')
    .trim();
}

function tokensOf(node, source) {
  if (ts.isJSDoc(node)) return [];
  const children = node.getChildren(source);
  return children.length === 0 ? [node] : children.flatMap((child) => tokensOf(child, source));
}

/** Every comment by its position: each token may have comments before and behind it. */
function commentRanges(source) {
  const ranges = new Map();
  for (const token of tokensOf(source, source)) {
    const found = [
      ...(ts.getLeadingCommentRanges(source.text, token.pos) ?? []),
      ...(ts.getTrailingCommentRanges(source.text, token.end) ?? []),
    ];
    for (const range of found) ranges.set(range.pos, range);
  }
  return [...ranges.values()].sort((a, b) => a.pos - b.pos);
}

/** A `//` comment that continues the one in the line above. */
function continues(text, before, range) {
  if (text.slice(before.pos, before.pos + 2) !== '//' || text.slice(range.pos, range.pos + 2) !== '//')
    return false;
  return /^\n[ \t]*$/.test(text.slice(before.end, range.pos));
}

function commentsOf(source) {
  const joined = [];
  for (const { pos, end } of commentRanges(source)) {
    const last = joined.at(-1);
    if (last !== undefined && continues(source.text, last, { pos })) last.end = end;
    else joined.push({ pos, end });
  }
  return joined.map(({ pos, end }) => ({
    kind: 'comment',
    pos,
    text: bareText(source.text.slice(pos, end)),
  }));
}

/** Text for people has words with blanks between them; SQL and shell scripts have other signs. */
function isForPeople(text) {
  if (!/[a-z]{2,} [a-z]/.test(text) || text.split(' ').length < 3) return false;
  return !/^\s*(SELECT|CREATE|SET|WITH|case|if|for|while) |\n.*\n|\bFROM\b|[;&|] ?(then|do|done|fi|exit)\b|\$\(|>&2/.test(
    text,
  );
}

function messagesOf(source) {
  const found = [];
  const visit = (node) => {
    if (ts.isStringLiteralLike(node) || ts.isTemplateExpression(node)) {
      const text = node.getText(source).slice(1, -1);
      if (isForPeople(text)) found.push({ kind: 'message', pos: node.getStart(source), text });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** Comments and messages of one TypeScript file, each with its line. */
export function proseOfSource(file, text) {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  return [...commentsOf(source), ...messagesOf(source)].map(({ kind, pos, text: prose }) => ({
    file,
    line: source.getLineAndCharacterOfPosition(pos).line + 1,
    kind,
    text: prose,
  }));
}

/** Paragraphs, list items and table cells of a page, without its code. */
function blocksOf(text) {
  const blocks = [];
  let isCode = false;
  let open;
  text.split('\n').forEach((content, index) => {
    if (content.trimStart().startsWith('```')) isCode = !isCode;
    const isBreak = isCode || /^\s*(```|$|#|<!--|\|[ -]*-)/.test(content);
    if (content.startsWith('#') && !isCode)
      blocks.push({ line: index + 1, text: content.replace(/^#+ /, '') });
    if (content.startsWith('|') && !isBreak) {
      for (const cell of content.split(/(?<!\\)\|/)) blocks.push({ line: index + 1, text: cell.trim() });
      open = undefined;
    } else if (isBreak) open = undefined;
    else if (open === undefined || /^\s*([-*]|\d+\.) /.test(content)) {
      open = { line: index + 1, text: content.replace(/^\s*([-*]|\d+\.) /, '').trim() };
      blocks.push(open);
    } else open.text += ` ${content.trim()}`;
  });
  return blocks;
}

/** Sentences of one page, each with the line on which its paragraph begins. */
export function proseOfPage(file, text) {
  return blocksOf(text).flatMap(({ line, text: block }) =>
    block
      .split(/(?<=[.!?][*"`)]*) (?=["*`(]*[A-Z])/)
      .filter((sentence) => sentence.split(' ').length > 2)
      .map((sentence) => ({ file, line, kind: 'sentence', text: sentence })),
  );
}

function filesBelow(root, folder, ending) {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => join(folder, name))
    .sort();
}

/** All prose of the project, in the order of its files. */
export function proseOf(root) {
  const read = (file) => readFileSync(join(root, file), 'utf8');
  return [
    ...filesBelow(root, 'src', '.ts').flatMap((file) => proseOfSource(file, read(file))),
    ...['README.md', ...filesBelow(root, 'doc', '.md')].flatMap((file) => proseOfPage(file, read(file))),
  ];
}
