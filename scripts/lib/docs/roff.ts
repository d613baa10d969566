import { wrapText } from './render-text.ts';

/** A part of a manual page. The text of a paragraph, a point and an item is Markdown as our tables have it. */
export type Block =
  | { readonly kind: 'heading'; readonly title: string }
  | { readonly kind: 'paragraph' | 'point'; readonly text: string }
  /** `term` is roff already. */
  | { readonly kind: 'item'; readonly term: string; readonly texts: readonly string[] }
  | { readonly kind: 'lines'; readonly lines: readonly string[] };

const lineWidth = 78;

const named: Readonly<Record<string, string>> = {
  '\\': '\\e',
  '…': '...',
  '–': '\\(en',
  '×': '\\(mu',
  '÷': '\\(di',
  '“': '\\(lq',
  '”': '\\(rq',
  '^': '\\(ha',
  '~': '\\(ti',
  '`': '\\(ga',
};

/** Characters that roff reads as something else, or that are not in ASCII. */
function escaped(text: string): string {
  return text.replace(/[\\^~`]|[^\x20-\x7e]/gu, (character) => {
    const code = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0');
    return named[character] ?? `\\[u${code}]`;
  });
}

/** Text that is typed: its hyphens are minus signs, and its quotes are straight. */
export function literal(text: string): string {
  return escaped(text).replaceAll('-', '\\-').replaceAll("'", '\\(aq').replaceAll('"', '\\(dq');
}

function plain(text: string): string {
  const linked = text.replace(/\[([^\]]+)\]\(([^)\s]+)\)/g, '$1 (doc/$2)');
  return linked
    .split(/(\*\*[^*]+\*\*)/)
    .map((part) => (part.startsWith('**') ? bold(escaped(part.slice(2, -2))) : withFlags(part)))
    .join('');
}

/** A word such as `--dry-run` is typed, also where it is not marked as code. */
function withFlags(text: string): string {
  return text
    .split(/((?<![\w-])--?[A-Za-z][\w-]*)/)
    .map((part, index) => (index % 2 === 1 ? literal(part) : escaped(part)))
    .join('');
}

export function bold(roff: string): string {
  return `\\fB${roff}\\fR`;
}

function inline(markdown: string): string {
  return markdown
    .split(/(`[^`]+`)/)
    .map((part, index) => (index % 2 === 1 ? bold(literal(part.slice(1, -1))) : plain(part)))
    .join('');
}

/** A line of text must not look like a request of roff. */
function shielded(line: string): string {
  return /^[.']/.test(line) ? `\\&${line}` : line;
}

function filled(markdown: string): readonly string[] {
  return wrapRoff(inline(markdown.trim().replace(/\s+/g, ' ')));
}

export function wrapRoff(roff: string): readonly string[] {
  return wrapText(roff, lineWidth).map(shielded);
}

function paragraphs(texts: readonly string[], between: string): readonly string[] {
  return texts.flatMap((text, index) => [...(index === 0 ? [] : [between]), ...filled(text)]);
}

/** @param isFirst behind a heading, which begins a paragraph itself */
function renderBlock(block: Block, isFirst: boolean): readonly string[] {
  const begin = isFirst ? [] : ['.PP'];
  switch (block.kind) {
    case 'heading':
      return [`.SS ${escaped(block.title)}`];
    case 'paragraph':
      return [...begin, ...filled(block.text)];
    case 'point':
      return ['.IP \\(bu 2', ...filled(block.text)];
    case 'item':
      return ['.TP', block.term, ...paragraphs(block.texts, '.IP')];
    case 'lines':
      return [...begin, '.EX', ...block.lines.map((line) => shielded(literal(line))), '.EE'];
  }
}

export function renderSection(title: string, blocks: readonly Block[]): readonly string[] {
  const lines = blocks.map((block, index) => {
    const previous = blocks[index - 1];
    return renderBlock(block, previous === undefined || previous.kind === 'heading');
  });
  return [`.SH ${escaped(title)}`, ...lines.flat()];
}

/** The blocks of a Markdown text: headings, paragraphs, lists and fenced lines. Headings of the second level are left out. */
export function blocksOf(markdown: string): readonly Block[] {
  const parts = markdown.split(/^```\w*\n([\s\S]*?)^```$/m);
  return parts.flatMap((part, index) =>
    index % 2 === 1
      ? [{ kind: 'lines' as const, lines: part.trimEnd().split('\n') }]
      : part.split(/\n{2,}|\n(?=- )/).flatMap(blockOf),
  );
}

function blockOf(text: string): readonly Block[] {
  const trimmed = text.trim();
  if (trimmed === '' || trimmed.startsWith('## ')) return [];
  if (trimmed.startsWith('### ')) return [{ kind: 'heading', title: trimmed.slice(4).replaceAll('`', '') }];
  if (trimmed.startsWith('- ')) return [{ kind: 'point', text: trimmed.slice(2) }];
  return [{ kind: 'paragraph', text: trimmed }];
}
