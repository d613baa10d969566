import type { Option, OptionTable } from '../../../src/config/option.ts';
import { archiverOptions, standbyTargetOptions } from '../../../src/config/options-archiver.ts';
import { standbyOptions } from '../../../src/config/options-standby.ts';
import { refusedFlags } from '../../../src/config/rsync-flags.ts';
import { exitCodes } from '../../../src/errors.ts';
import { describeKind } from './describe-kind.ts';
import { dialectText, standbySectionText, tablespacesText } from './reference-texts.ts';
import { asSentence, byGroup } from './render-text.ts';

/** The meaning of each exit code for the caller. The type makes sure that none is forgotten. */
export const exitCodeMeanings: Readonly<Record<keyof typeof exitCodes, string>> = {
  failure: 'The operation was tried and did not succeed.',
  usage: 'The command line contains an error.',
  configuration: 'The INI file cannot be used; each problem is reported with its line.',
  refused: 'The operation was refused because it would have done harm. Nothing was changed.',
  actionFailed: 'The failover has happened, but `action_failover` did not exit 0.',
  interrupted:
    '`cmd_standby` was stopped by a signal (SIGINT, SIGTERM or SIGHUP) before it had finished. `cmd_archiver` then exits 1, and with `--ship` 0.',
  unfinished: '`--setup`: not finished; type the commands that it prints, then run it again.',
  notAllChecked: '`--check`: nothing failed, but something could not be determined.',
  primaryDead: '`-P`: the primary is dead: its host answers, and no server runs there in its data directory.',
  primaryUnreachable:
    '`-P`: the primary cannot be reached: neither its port nor ssh answers. This does not prove that it is down.',
  primaryUnasked:
    '`-P`: the primary could not be asked, because of a problem on this host: a name that does not resolve, a missing route, or a missing ssh.',
  primarySilent:
    "`-P`: the primary's port accepts connections, but does not answer as PostgreSQL does. It may be a hung server or a proxy.",
  primaryInRecovery: '`-P`: the server at its address is in recovery: it is a standby.',
  primaryOfOtherCluster:
    '`-P`: the server at its address belongs to another cluster (another system identifier).',
  bug: 'A bug in pitrtools, which is shown with a stack trace. Please report it.',
};

export function renderReference(): string {
  return [
    '# Reference',
    '<!-- Made from the option tables in src/config by `npm run docs`. Change the tables, not this file. -->',
    'This page lists every key of both INI files, and every exit status. Each program reads one INI file, given by `-C FILE`; without `-C` it is `/etc/pitrtools/cmd_archiver.ini` or `/etc/pitrtools/cmd_standby.ini`. Only the keys marked **required** must be set.',
    dialectText,
    '## cmd_archiver.ini',
    ...renderTable(archiverOptions),
    standbySectionText,
    ...renderOptions(Object.entries(standbyTargetOptions), inSection),
    '## cmd_standby.ini',
    ...renderTable(standbyOptions),
    tablespacesText,
    renderRefusedFlags(),
    renderExitCodes(),
  ]
    .join('\n\n')
    .concat('\n');
}

function renderTable(table: OptionTable): string[] {
  return [...byGroup(table)].flatMap(([group, options]) => [`### ${group}`, ...renderOptions(options)]);
}

function renderOptions(options: readonly [string, Option][], defaultOf = inDefault): string[] {
  const rows = options.map(([key, option]) => {
    const meaning = meaningOf(option).replaceAll('|', '\\|');
    return `| \`${key}\` | ${valueOf(option, defaultOf)} | ${meaning} |`;
  });
  return [['| key | value | meaning |', '| --- | --- | --- |', ...rows].join('\n')];
}

/** The values that a key takes, and its default. Markdown. */
export function valueOf(option: Option, defaultOf: (option: Option) => string): string {
  return option.legacy === undefined ? `${describeKind(option)}; ${defaultOf(option)}` : 'ignored';
}

export function inDefault(option: Option): string {
  if (option.required === true) return '**required**';
  if (option.default === undefined) return 'no default';
  return option.default === '' ? 'none by default' : `default \`${option.default}\``;
}

/** In the section of one standby all keys but one fall back to [DEFAULT]. */
export function inSection(option: Option): string {
  return option === standbyTargetOptions.host ? "default the section's name" : 'as in `[DEFAULT]`';
}

/** Markdown. */
export function meaningOf(option: Option): string {
  const parts = [asSentence(option.summary), option.detail ?? ''];
  if (option.legacy !== undefined) parts.push(`Has no effect: ${option.legacy}.`);
  if (option.requiredIf !== undefined) parts.push(`Needed when \`${option.requiredIf}\` is on.`);
  if (option.since !== undefined) parts.push(`Since ${option.since}.`);
  return parts.filter((part) => part !== '').join(' ');
}

function renderRefusedFlags(): string {
  const rows = refusedFlags.map(({ reason, names }) => {
    return `| ${names.map((name) => `\`--${name}\``).join(', ')} | ${reason} |`;
  });
  return [
    '## Flags that `rsync_flags` must not contain',
    '',
    'Their short forms are refused as well, and so is every `--no-…` flag that removes a flag which a safe copy needs.',
    '',
    '| flags | reason |',
    '| --- | --- |',
    ...rows,
  ].join('\n');
}

function renderExitCodes(): string {
  const names = Object.keys(exitCodes) as (keyof typeof exitCodes)[];
  const rows = names.map((name) => `| ${exitCodes[name]} | ${exitCodeMeanings[name]} |`);
  return [
    '## Exit codes',
    '',
    'Both programs exit 0 only when the requested work was done and its result was checked. They use these other codes:',
    '',
    '| code | meaning |',
    '| --- | --- |',
    ...rows,
    '',
    '`cmd_archiver --flush` also exits 1 while a segment that this host has is not delivered yet, and if a standby that was asked could not',
    'say what it lacks. A standby whose sentinel does not say how `cmd_standby` is called is not asked. Both programs exit 1 if they find no',
    'Node.js or have not been built. With `--status --nagios` the exit status is that of Nagios: 0 to 3 ([status](status.md#forms)).',
    '',
    'No code is above 125, because PostgreSQL ends its archiver process when the exit status of `archive_command` is above 125.',
  ].join('\n');
}
