// Writes the tables of bench-results/bench.json into README.md, between two marks.
// Run by `scripts/bench --readme`.
import { readFile, writeFile } from 'node:fs/promises';
import { URL } from 'node:url';

const root = new URL('..', import.meta.url);
const [begin, end] = ['<!-- bench -->', '<!-- /bench -->'];

function rowOf(cells) {
  return `| ${cells.join(' | ')} |`;
}

function tableOf({ title, note, columns, rows }) {
  const rule = columns.map((_, column) => (column === 0 ? '---' : '---:'));
  return ['', `**${title}**`, '', note, '', ...[columns, rule, ...rows].map(rowOf)];
}

const { about, tables } = JSON.parse(await readFile(new URL('bench-results/bench.json', root), 'utf8'));
const readme = new URL('README.md', root);
const text = await readFile(readme, 'utf8');
const [from, to] = [text.indexOf(begin), text.indexOf(end)];
if (from < 0 || to < from) throw new Error(`README.md lacks ${begin} and ${end}`);
const block = [
  begin,
  `Measured on ${about.date} UTC: ${about.machine}; ${about.versions}; revision ${about.revision}.`,
  ...tables.flatMap(tableOf),
  '',
];
await writeFile(readme, `${text.slice(0, from)}${block.join('\n')}${text.slice(to)}`);
console.log('wrote README.md');
