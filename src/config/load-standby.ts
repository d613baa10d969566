import { type IniText, parseIniText } from './ini-text.ts';
import { linesOf, type ResolvedEntry, resolveSection } from './ini-values.ts';
import { findLateWarning } from './late-warning.ts';
import { loaded, type LoadedConfig, type UsableConfig } from './loaded.ts';
import { didYouMean } from './nearest.ts';
import type { Option } from './option.ts';
import {
  type StandbyAction,
  standbyOptions,
  type StandbySettings,
  tablespacesSection,
} from './options-standby.ts';
import { isWithin } from './path-values.ts';
import type { Problem } from './problem.ts';
import { type OtherTable, readOptions, readValue } from './read-options.ts';
import type { ValueResult } from './value-result.ts';

interface ReadTablespaces {
  readonly tablespaces: ReadonlyMap<string, string>;
  readonly problems: readonly Problem[];
}

/** Reads cmd_standby's INI file: returns settings, or every problem of the file at once. */
export function parseStandbyConfig(text: string, other?: OtherTable): LoadedConfig<StandbySettings> {
  const ini = parseIniText(text, { pathSections: [tablespacesSection] });
  const defaults = resolveSection(ini, 'DEFAULT');
  const read = readOptions(standbyOptions, defaults, other);
  const { tablespaces, problems } = readTablespaces(ini, read.values['pgdata'] as string | undefined);
  // The option table has typed the values; this cast relies on it.
  const settings = { ...read.values, tablespaces } as StandbySettings;
  const lines = linesOf(defaults);
  const all = [
    ...ini.problems,
    ...read.problems,
    ...problems,
    ...findUnknownSections(ini),
    ...findDoomedArchive(settings, lines.get('archivedir') ?? 1),
    ...findForeignKeys(settings, lines, { basebackup_source: 'only rsync can read from a standby' }),
  ];
  const warnings = findForeignKeys(settings, lines, { rsync_threads: 'it has no effect' });
  return loaded(all, {
    settings,
    warnings: [...read.warnings, ...warnings, ...findLateWarning(settings, lines)],
    lines,
  });
}

export const standbyReader = {
  parse: parseStandbyConfig,
  readOther: async (): Promise<OtherTable> => {
    const { archiverOptions } = await import('./options-archiver.ts');
    return { program: 'cmd_archiver', keys: archiverOptions };
  },
};

function findUnknownSections(ini: IniText): Problem[] {
  const known = ['DEFAULT', tablespacesSection];
  return [...ini.sections.values()]
    .filter(({ name }) => name !== '' && !known.includes(name))
    .map(({ name, line }) => ({ line, message: `unknown section [${name}]${didYouMean(name, known)}` }));
}

/** Reads `[tablespaces]`: old path = new path. */
function readTablespaces(ini: IniText, pgdata: string | undefined): ReadTablespaces {
  const section = resolveSection(ini, tablespacesSection);
  const own = [...section.entries.values()].filter((entry) => !entry.inherited);
  const problems = ini.sections.has(tablespacesSection) ? [...section.problems] : [];
  const tablespaces = new Map<string, string>();
  for (const entry of own) {
    const messages = readTablespace(entry, tablespaces, pgdata);
    problems.push(...messages.map((message) => ({ line: entry.line, message: `tablespace: ${message}` })));
    problems.push(...findSwallowedPairs(entry));
  }
  return { tablespaces, problems };
}

/** A pair that is indented deeper than the one above it would be lost in that one's path. */
function findSwallowedPairs({ key, line: above, continued }: ResolvedEntry): Problem[] {
  return continued.map(({ line, text }) => ({
    line,
    message: `"${text}" is indented deeper than "${key}" on line ${above}, so it would be a part of that path`,
  }));
}

/** As every other path in the file: on one line, and without control characters. */
function readPlace(text: string): ValueResult<string> {
  return readValue(standbyOptions.pgdata, text) as ValueResult<string>;
}

/** Adds one pair, or reports why not. */
function readTablespace(
  entry: ResolvedEntry,
  tablespaces: Map<string, string>,
  pgdata: string | undefined,
): string[] {
  const [from, to] = [readPlace(entry.key), readPlace(entry.value)];
  if (from.kind === 'problems' || to.kind === 'problems') {
    return [from, to].flatMap((result) => (result.kind === 'problems' ? result.messages : []));
  }
  const { value: newPath } = to;
  const taken = [...(pgdata === undefined ? [] : [pgdata]), ...tablespaces.values()];
  const other = taken.find((path) => isWithin(newPath, path) || isWithin(path, newPath));
  if (other !== undefined) return [`${newPath} overlaps with ${other}`];
  tablespaces.set(from.value, newPath);
  return [];
}

/** A base backup makes pgdata equal to the primary's: an archive inside it would be deleted. */
function findDoomedArchive(settings: Partial<StandbySettings>, line: number): Problem[] {
  const { pgdata, archivedir } = settings;
  if (pgdata === undefined || archivedir === undefined || !isWithin(archivedir, pgdata)) return [];
  return [{ line, message: `archivedir ${archivedir} lies in pgdata, where a base backup would delete it` }];
}

/** Keys that are set but have no meaning for pg_basebackup. */
function findForeignKeys(
  { basebackup_method: method }: Partial<StandbySettings>,
  lines: ReadonlyMap<string, number>,
  keys: Readonly<Record<string, string>>,
): Problem[] {
  if (method !== 'pg_basebackup') return [];
  return Object.entries(keys).flatMap(([key, reason]) => {
    const line = lines.get(key);
    return line === undefined
      ? []
      : [{ line, message: `${key} with basebackup_method: ${method}: ${reason}` }];
  });
}

/** The actions for which the table requires a key, as they are typed. */
const typed: Partial<Record<StandbyAction, string>> = { 'start-standby': '-S', drill: '--drill' };

/** Keys that the action needs and the file lacks, although the file is valid for other actions. */
export function requireFor(config: UsableConfig<StandbySettings>, action: StandbyAction): Problem[] {
  const values: Readonly<Record<string, unknown>> = { ...config.settings };
  const options: [string, Option][] = Object.entries(standbyOptions);
  return options.flatMap(([key, option]) => {
    const isAsked = option.requiredBy?.includes(action) === true && values[key] === undefined;
    const { requiredIf } = option;
    if (!isAsked || (requiredIf !== undefined && values[requiredIf] !== true)) return [];
    const reason = requiredIf === undefined ? '' : ` when "${requiredIf}" is on`;
    const line = config.lines.get(requiredIf ?? '') ?? config.lines.get('') ?? 1;
    return [
      {
        line,
        message: `missing key "${key}", which ${typed[action] ?? action} needs${reason}: ${option.summary}`,
      },
    ];
  });
}
