// Writes the tables of bench-results/bench.json into doc/bench.md, and some of their rows into README.md,
// each between two marks. Run by `scripts/bench --doc`. What was not measured stays as it is.
import { readFile, writeFile } from 'node:fs/promises';
import { URL } from 'node:url';

const root = new URL('..', import.meta.url);

/** The README's rows. Each one names a table by the beginning of its title, a column, and a tool for each column. */
const shipping = [
  {
    label: 'a backlog of WAL, until the standby has all of it',
    title: 'Draining a backlog',
    column: 'delivered',
    tools: [
      'cmd_archiver, its shipper running',
      'pgBackRest async, 2 processes, zstd',
      'rsync, new ssh per segment',
    ],
  },
];

const baseBackup = [
  {
    label: 'a base backup into an empty directory',
    title: 'Base backup of',
    column: 'first',
    tools: [
      'cmd_standby -B, rsync_threads: 2',
      'pgBackRest backup, 2 processes, zstd; again: incr',
      'one rsync -az, then sync',
    ],
  },
];

const lag = [
  {
    label: 'one switched segment, until the standby has it (median)',
    title: 'Lag of one switched segment',
    column: 'p50',
    tools: [
      'cmd_archiver, started by archive_command',
      'pgBackRest async, 2 processes, zstd',
      'rsync, new ssh per segment',
    ],
  },
];

const roles = [
  {
    label: 'roles change hands: no server takes writes (median)',
    title: 'A switchover',
    column: 'outage',
    tools: ['cmd_standby --switchover', 'repmgr standby switchover'],
  },
];

const rejoin = [
  {
    label: 'a former primary becomes a standby',
    title: 'A former primary of',
    column: 'time',
    tools: ['--rejoin by pg_rewind', '--rejoin by -B, which reuses the files that are right'],
  },
];

const beside = ['', 'pitrtools', 'pgBackRest', 'rsync'];

/** What is measured together. `titles`: how its tables begin. The README has rows of those with `excerpts`. */
const sections = [
  {
    name: 'bench',
    columns: beside,
    excerpts: shipping,
    titles: ['Draining a backlog', 'One call that finds its segment safe'],
  },
  { name: 'bench-lag', columns: beside, excerpts: lag, titles: ['Lag of one switched segment'] },
  { name: 'bench-several', titles: ['The same backlog to several standbys'] },
  { name: 'bench-outage', titles: ['8 standbys, 4 of them dead'] },
  { name: 'bench-queued', titles: ['A long queue of segments'] },
  { name: 'bench-base-backup', columns: beside, excerpts: baseBackup, titles: ['Base backup of'] },
  { name: 'bench-roles', columns: ['', 'pitrtools', 'repmgr'], excerpts: roles, titles: ['A switchover'] },
  {
    name: 'bench-rejoin',
    columns: ['', 'by pg_rewind', 'by a base backup'],
    excerpts: rejoin,
    titles: ['A former primary of'],
  },
  { name: 'bench-drill', titles: ['A drill beside a failover'] },
  { name: 'bench-drill-cost', titles: ['What a drill costs'] },
  { name: 'bench-start', titles: ['The start of a program', 'The local view of --status'] },
];

const belongs = ({ title }, { titles }) => titles.some((one) => title.startsWith(one));

function rowOf(cells) {
  return `| ${cells.join(' | ')} |`;
}

function ruleOf(columns) {
  return columns.map((_, column) => (column === 0 ? '---' : '---:'));
}

function tableOf({ title, note, columns, rows }) {
  return ['', `**${title}**`, '', note, '', ...[columns, ruleOf(columns), ...rows].map(rowOf)];
}

function excerptOf(tables, { label, title, column, tools }) {
  const table = tables.find((one) => one.title.startsWith(title));
  const at = table?.columns.indexOf(column) ?? -1;
  if (at < 0) throw new Error(`bench.json has no table "${title}…" with a column "${column}"`);
  const cells = tools.map((tool) => table.rows.find(([name]) => name === tool)?.[at]);
  const missing = tools.filter((_, index) => cells[index] === undefined);
  if (missing.length > 0)
    throw new Error(`the table "${table.title}" has no row for ${missing.join(' and ')}`);
  return [label, ...cells];
}

async function replaceBlock(name, block, lines) {
  const [begin, end] = [`<!-- ${block} -->`, `<!-- /${block} -->`];
  const file = new URL(name, root);
  const text = await readFile(file, 'utf8');
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${name} lacks ${begin} and ${end}`);
  await writeFile(file, `${text.slice(0, from)}${[begin, ...lines, ''].join('\n')}${text.slice(to)}`);
  console.log(`wrote ${name}`);
}

/** A run that has left out some tools leaves the README as it is. */
async function replaceRows({ name, columns, excerpts }, tables) {
  try {
    const rows = excerpts.map((excerpt) => excerptOf(tables, excerpt));
    await replaceBlock('README.md', name, [columns, ruleOf(columns), ...rows].map(rowOf));
  } catch (error) {
    console.log(`README.md: ${name} is as before: ${error.message}`);
  }
}

const { about, tables } = JSON.parse(await readFile(new URL('bench-results/bench.json', root), 'utf8'));
const homeless = tables.filter((table) => !sections.some((section) => belongs(table, section)));
if (homeless.length > 0) throw new Error(`no section has the table "${homeless[0].title}"`);
for (const section of sections) {
  const own = tables.filter((table) => belongs(table, section));
  if (own.length === 0) continue;
  await replaceBlock('doc/bench.md', section.name, [
    `Measured on ${about.date} UTC: ${about.machine}; ${about.versions}; revision ${about.revision}.`,
    ...own.flatMap(tableOf),
  ]);
  if (section.excerpts !== undefined) await replaceRows(section, own);
}
