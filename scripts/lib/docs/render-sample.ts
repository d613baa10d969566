import type { Option, OptionTable } from '../../../src/config/option.ts';
import { archiverOptions } from '../../../src/config/options-archiver.ts';
import { standbyOptions, tablespacesSection } from '../../../src/config/options-standby.ts';
import { asSentence, byGroup, wrapText } from './render-text.ts';

const width = 96;

export function renderArchiverSample(): string {
  return [
    ...comment('cmd_archiver.ini: the settings of cmd_archiver, which runs on the primary.'),
    ...comment(
      'Copy this file to cmd_archiver.ini and set the keys of the first group. A key behind ";" shows its default, or an example if it has no default.',
    ),
    ...renderTable(archiverOptions),
    '',
    ...heading('Settings of one standby'),
    ...comment('A section with the name of a standby in slaves overrides keys for that standby:'),
    ';[bitarena-clone]',
    ';host: 192.168.3.2',
    ';ssh: /usr/bin/ssh -p 2222',
    ';r_archivedir: /srv/archive',
    '',
  ].join('\n');
}

export function renderStandbySample(): string {
  return [
    ...comment('cmd_standby.ini: the settings of cmd_standby, which runs on a standby.'),
    ...comment(
      'Copy this file to cmd_standby.ini and set the keys of the first group. A key behind ";" shows its default, or an example if it has no default. If it contains a password, make it readable only by its owner.',
    ),
    ...renderTable(standbyOptions),
    '',
    ...heading('Tablespaces with another path on this host'),
    ...comment('Each line gives the path of a tablespace: path on the primary = path on this host.'),
    `;[${tablespacesSection}]`,
    ';/srv/fast = /data/fast',
    '',
  ].join('\n');
}

function renderTable(table: OptionTable): string[] {
  const groups = [...byGroup(table)].flatMap(([group, options]) => [
    '',
    ...heading(group),
    ...options.flatMap(([key, option]) => ['', ...renderOption(key, option)]),
  ]);
  return ['', '[DEFAULT]', ...groups];
}

function heading(group: string): string[] {
  return [`; ---- ${group} ${'-'.repeat(Math.max(4, width - group.length - 8))}`];
}

function renderOption(key: string, option: Option): string[] {
  return [...comment(asSentence(option.summary)), ...comment(factsOf(option)), assignment(key, option)];
}

function factsOf(option: Option): string {
  const facts: string[] = [];
  if (option.legacy !== undefined) facts.push(`Has no effect: ${option.legacy}.`);
  if (option.kind === 'choice') facts.push(`One of: ${option.choices.join(', ')}.`);
  if (option.default !== undefined && option.example !== undefined) {
    facts.push(option.default === '' ? 'Default: none.' : `Default: ${option.default}`);
  }
  return facts.join(' ');
}

/** Required keys are ready to be edited; all others are commented out with `;`. */
function assignment(key: string, option: Option): string {
  const shown = option.example ?? option.default ?? '';
  return option.required === true ? `${key}: ${shown}` : `;${key}: ${shown}`;
}

function comment(text: string): string[] {
  return text === '' ? [] : wrapText(text, width - 2).map((line) => `; ${line}`);
}
