import { type IniText, parseIniText } from './ini-text.ts';
import { linesOf, type ResolvedSection, resolveSection } from './ini-values.ts';
import { findLateWarning } from './late-warning.ts';
import { loaded, type LoadedConfig } from './loaded.ts';
import { didYouMean } from './nearest.ts';
import {
  archiverOptions,
  type ArchiverSettings,
  type StandbyTarget,
  standbyTargetOptions,
} from './options-archiver.ts';
import { isWithin } from './path-values.ts';
import type { Problem } from './problem.ts';
import { type OtherTable, readOptions } from './read-options.ts';

/** 1.4 demands all of them, and 1.3 has none. */
const keysOf14 = [
  'queue_user',
  'queue_wait',
  'max_queue_workers',
] as const satisfies readonly (keyof typeof archiverOptions)[];

interface ReadTargets {
  readonly targets: readonly StandbyTarget[];
  readonly problems: readonly Problem[];
}

/** Reads cmd_archiver's INI file: returns settings, or every problem of the file at once. */
export function parseArchiverConfig(text: string, other?: OtherTable): LoadedConfig<ArchiverSettings> {
  const ini = parseIniText(text);
  const defaults = resolveSection(ini, 'DEFAULT');
  const read = readOptions(archiverOptions, defaults, other);
  const slaves = read.values['slaves'] as readonly string[] | undefined;
  const { targets, problems } = readTargets(ini, slaves ?? []);
  // The option table has typed the values; this cast relies on it.
  const hasKeysOf14 = keysOf14.some((key) => defaults.entries.has(key));
  const settings = { ...read.values, standbys: targets, hasKeysOf14 } as ArchiverSettings;
  const all = [
    ...ini.problems,
    ...read.problems.map(explainHost),
    ...problems,
    ...findUnknownSections(ini, slaves),
    ...findSharedPlaces(ini, targets),
  ];
  const lines = linesOf(defaults);
  return loaded(all, {
    settings,
    warnings: [
      ...read.warnings,
      ...warnOfQueueInPgdata(settings, defaults),
      ...findLateWarning(settings, lines),
    ],
    lines,
  });
}

export const archiverReader = {
  parse: parseArchiverConfig,
  readOther: async (): Promise<OtherTable> => {
    const { standbyOptions } = await import('./options-standby.ts');
    return { program: 'cmd_standby', keys: standbyOptions };
  },
};

/** `host` is a key of the sections only: an unknown `host` in [DEFAULT] deserves its own message. */
function explainHost(problem: Problem): Problem {
  if (!problem.message.startsWith('unknown key "host"')) return problem;
  return { ...problem, message: '"host" belongs in the section of one standby, not in [DEFAULT]' };
}

/** Reads each standby's settings: its own section over [DEFAULT]. */
function readTargets(ini: IniText, names: readonly string[]): ReadTargets {
  const problems: Problem[] = [];
  const targets = names.map((name) => {
    const section = resolveSection(ini, name);
    problems.push(...findMisplacedKeys(section));
    const read = readOptions(standbyTargetOptions, withoutMisplacedKeys(section));
    problems.push(...read.problems);
    return { ...read.values, name, host: read.values['host'] ?? name } as StandbyTarget;
  });
  return { targets, problems };
}

function isMisplaced(key: string): boolean {
  return Object.hasOwn(archiverOptions, key) && !Object.hasOwn(standbyTargetOptions, key);
}

function findMisplacedKeys(section: ResolvedSection): Problem[] {
  const allowed = Object.keys(standbyTargetOptions).join(', ');
  return [...section.entries.values()]
    .filter((entry) => !entry.inherited && isMisplaced(entry.key))
    .map(({ key, line }) => ({
      line,
      message: `"${key}" belongs in [DEFAULT]: a standby's section may set ${allowed}`,
    }));
}

/** The entries from which a standby's settings are read. A `host` in [DEFAULT] is a mistake that is reported there. */
function withoutMisplacedKeys(section: ResolvedSection): ResolvedSection {
  const entries = [...section.entries].filter(
    ([key, entry]) => !isMisplaced(key) && !(key === 'host' && entry.inherited),
  );
  return { ...section, entries: new Map(entries) };
}

function findUnknownSections(ini: IniText, slaves: readonly string[] | undefined): Problem[] {
  const known = ['DEFAULT', ...(slaves ?? [])];
  const others = [...ini.sections.values()].filter(({ name }) => name !== '' && !known.includes(name));
  return others.flatMap(({ name, line }) => {
    const hint = didYouMean(name, known);
    // If slaves itself cannot be read, it is unknown which sections are right.
    if (slaves === undefined && hint === '') return [];
    return [{ line, message: `section [${name}] is not a standby in "slaves"${hint}` }];
  });
}

/** Two lanes into one directory would each take the other's segments for its own. */
function findSharedPlaces(ini: IniText, targets: readonly StandbyTarget[]): Problem[] {
  const seen = new Map<string, string>();
  return targets.flatMap(({ name, host, r_archivedir }) => {
    const place = `${host}:${r_archivedir}`;
    const other = seen.get(place);
    seen.set(place, other ?? name);
    if (other === undefined) return [];
    const line = (ini.sections.get(name) ?? ini.sections.get(other))?.line ?? 1;
    return [{ line, message: `standbys "${other}" and "${name}" both mean ${place}` }];
  });
}

function warnOfQueueInPgdata(settings: ArchiverSettings, defaults: ResolvedSection): Problem[] {
  const entry = defaults.entries.get('l_archivedir');
  const paths: Partial<ArchiverSettings> = settings;
  if (entry === undefined || paths.l_archivedir === undefined || paths.pgdata === undefined) return [];
  if (!isWithin(paths.l_archivedir, paths.pgdata)) return [];
  const message = `l_archivedir ${paths.l_archivedir} lies in pgdata, so every base backup copies the queues as well`;
  return [{ line: entry.line, message }];
}
