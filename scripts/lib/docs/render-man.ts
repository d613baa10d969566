import { usage as archiverUsage } from '../../../src/archiver/usage.ts';
import { defaultIni } from '../../../src/config/default-ini.ts';
import type { OptionTable } from '../../../src/config/option.ts';
import { archiverOptions, standbyTargetOptions } from '../../../src/config/options-archiver.ts';
import { standbyOptions } from '../../../src/config/options-standby.ts';
import { exitCodes } from '../../../src/errors.ts';
import { sharedFlags, type Usage } from '../../../src/help.ts';
import { usage as standbyUsage } from '../../../src/standby/usage.ts';
import { dialectText, standbySectionText, tablespacesText } from './reference-texts.ts';
import { exitCodeMeanings, inDefault, inSection, meaningOf, valueOf } from './render-reference.ts';
import { asSentence, byGroup } from './render-text.ts';
import { type Block, blocksOf, bold, literal, renderSection, wrapRoff } from './roff.ts';

/** The version and the day (YYYY-MM-DD) that the pages show. */
export interface Edition {
  readonly version: string;
  readonly day: string;
}

/** The manual pages by their file names, made from the tables from which the help and the reference are made. */
export function renderManPages(edition: Edition): ReadonlyMap<string, string> {
  return new Map([
    ['cmd_archiver.1', programPage(archiverUsage, edition)],
    ['cmd_standby.1', programPage(standbyUsage, edition)],
    ['cmd_archiver.ini.5', iniPage('cmd_archiver', archiverKeys(), edition)],
    ['cmd_standby.ini.5', iniPage('cmd_standby', standbyKeys(), edition)],
  ]);
}

function page(
  title: string,
  chapter: 1 | 5,
  edition: Edition,
  sections: readonly (readonly string[])[],
): string {
  const head = `.TH ${literal(title.toUpperCase())} ${chapter} ${edition.day} "pitrtools ${literal(edition.version)}" pitrtools`;
  return [head, ...sections.flat(), ''].join('\n');
}

function nameSection(name: string, purpose: string): readonly string[] {
  return ['.SH NAME', ...wrapRoff(`${literal(name)} \\- ${literal(purpose)}`)];
}

function programPage(usage: Usage, edition: Edition): string {
  const { program, synopsis, description } = usage;
  const purpose = `${description.charAt(0).toLowerCase()}${description.slice(1).replace(/\.$/, '')}`;
  return page(program, 1, edition, [
    nameSection(program, purpose),
    ['.SH SYNOPSIS', `.B ${literal(program)}`, literal(synopsis)],
    renderSection('DESCRIPTION', [
      { kind: 'paragraph', text: description },
      {
        kind: 'paragraph',
        text: `Its settings are in the INI file that \`-C\` names, otherwise in \`${defaultIni(program)}\`. Without an action, the program checks that file and the paths in it. It refuses to run as root: run it as the user who owns the database cluster.`,
      },
    ]),
    renderSection('OPTIONS', optionBlocks(usage)),
    renderSection('NOTES', noteBlocks(usage.more)),
    renderSection('EXIT STATUS', exitBlocks()),
    renderSection('ENVIRONMENT', [
      item(
        'PITRTOOLS_NODE',
        'The path of the Node.js to run under, 20.19 or later, if another one is to be used than the first one found.',
      ),
    ]),
    renderSection('FILES', [
      item(defaultIni(program), 'The settings, if `-C` names no other file.'),
      item(
        '/usr/share/doc/pitrtools',
        'The documentation, if the program was installed as a Debian package.',
      ),
    ]),
    seeAlso(`cmd_archiver(1) cmd_standby(1) ${program}.ini(5)`, `${program}(1)`),
  ]);
}

function item(typed: string, ...texts: readonly string[]): Block {
  return { kind: 'item', term: bold(literal(typed)), texts };
}

function seeAlso(pages: string, own: string): readonly string[] {
  const others = pages.split(' ').filter((one) => one !== own);
  const lines = others.map((one, index) => {
    const [, name = '', chapter = ''] = /^(.+)\((\d)\)$/.exec(one) ?? [];
    return `.BR ${literal(name)} (${chapter})${index === others.length - 1 ? '' : ' ,'}`.replace(') ,', '),');
  });
  return ['.SH SEE ALSO', ...lines];
}

/** `-C, --config <FILE>`: what is typed is bold, the place of a value italic. */
function flagTerm(flags: string): string {
  return flags
    .split(/([<[][^>\]]+[>\]])/)
    .map((part) => {
      if (part.startsWith('<')) return `\\fI${literal(part.slice(1, -1))}\\fR`;
      if (part.startsWith('[')) return `[\\fI${literal(part.slice(1, -1))}\\fR]`;
      return part === '' ? '' : bold(literal(part));
    })
    .join('');
}

function optionBlocks(usage: Usage): readonly Block[] {
  const own = Object.values(usage.flags)
    .filter(([task]) => task !== 'hidden')
    .map(([group, flags, text]) => ({ group: group, flags, text }));
  const shared = sharedFlags(usage).map(([flags, text]) => ({ group: 'General', flags, text }));
  const groups = byGroup(Object.fromEntries([...own, ...shared].map((one) => [one.flags, one])));
  return [...groups].flatMap(([title, options]): Block[] => [
    { kind: 'heading', title },
    ...options.map(([flags, { text }]): Block => ({
      kind: 'item',
      term: flagTerm(flags),
      texts: [asSentence(text)],
    })),
  ]);
}

/** The text below the flags in `--help all`: paragraphs, and lines that are indented there. */
function noteBlocks(more: string): readonly Block[] {
  return more
    .trim()
    .split(/\n{2,}/)
    .flatMap((block): Block[] => {
      const lines = block.split('\n');
      const text = lines.filter((line) => !line.startsWith(' ')).join(' ');
      const indented = lines.filter((line) => line.startsWith(' '));
      return [
        { kind: 'paragraph', text },
        ...(indented.length === 0 ? [] : [{ kind: 'lines' as const, lines: indented }]),
      ];
    });
}

function exitBlocks(): readonly Block[] {
  const names = Object.keys(exitCodes) as (keyof typeof exitCodes)[];
  return [
    item('0', 'The requested work was done and its result was checked.'),
    ...names.map((name) => item(String(exitCodes[name]), exitCodeMeanings[name])),
  ];
}

function keyBlocks(table: OptionTable, defaultOf = inDefault): readonly Block[] {
  return Object.entries(table).map(([key, option]) =>
    item(key, `(${valueOf(option, defaultOf)})`, meaningOf(option)),
  );
}

function groupedKeys(table: OptionTable): readonly Block[] {
  return [...byGroup(table)].flatMap(([title, options]) => [
    { kind: 'heading', title } as const,
    ...keyBlocks(Object.fromEntries(options)),
  ]);
}

function archiverKeys(): readonly Block[] {
  return [
    ...groupedKeys(archiverOptions),
    ...blocksOf(standbySectionText),
    ...keyBlocks(standbyTargetOptions, inSection),
  ];
}

function standbyKeys(): readonly Block[] {
  return [...groupedKeys(standbyOptions), ...blocksOf(tablespacesText)];
}

function iniPage(program: string, keys: readonly Block[], edition: Edition): string {
  const name = `${program}.ini`;
  return page(name, 5, edition, [
    nameSection(name, `the settings of ${program}`),
    renderSection('DESCRIPTION', blocksOf(dialectText)),
    renderSection('KEYS', keys),
    renderSection('FILES', [
      item(defaultIni(program), `The file that ${program} reads if \`-C\` names no other.`),
      item(
        `/usr/share/doc/pitrtools/examples/${name}.sample`,
        'Every key with its default, as comments, if the program was installed as a Debian package.',
      ),
    ]),
    seeAlso(`${program}(1) cmd_archiver.ini(5) cmd_standby.ini(5)`, `${name}(5)`),
  ]);
}
