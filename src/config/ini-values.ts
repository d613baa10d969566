import type { IniEntry, IniText } from './ini-text.ts';
import { didYouMean } from './nearest.ts';
import type { Problem } from './problem.ts';

export interface ResolvedEntry extends IniEntry {
  /** Whether the entry is in `[DEFAULT]`, not in the section itself. */
  readonly inherited: boolean;
}

/** A section with its defaults, and with every `%(key)s` replaced. */
export interface ResolvedSection {
  /** The line of its header; 1 if the file has no such section. */
  readonly line: number;
  /** Without those whose interpolation failed. */
  readonly entries: ReadonlyMap<string, ResolvedEntry>;
  /** Keys whose interpolation failed: present, and reported already. */
  readonly failedKeys: ReadonlySet<string>;
  readonly problems: readonly Problem[];
}

export type Interpolation =
  { readonly kind: 'value'; readonly value: string } | { readonly kind: 'problem'; readonly message: string };

type Lookup = (key: string) => string | undefined;

export function resolveSection(ini: IniText, name: string): ResolvedSection {
  const raw = withDefaults(ini, name);
  const problems: Problem[] = [];
  const failedKeys = new Set<string>();
  const entries = new Map<string, ResolvedEntry>();
  for (const [key, entry] of raw) {
    const result = interpolate(entry.value, (other) => raw.get(other)?.value, [...raw.keys()], [key]);
    if (result.kind === 'value') {
      entries.set(key, { ...entry, value: result.value });
    } else {
      failedKeys.add(key);
      problems.push({ line: entry.line, message: `"${key}" ${result.message}` });
    }
  }
  return { line: ini.sections.get(name)?.line ?? 1, entries, failedKeys, problems };
}

/** The line of each key, for messages; `''` is the section's header. */
export function linesOf({ line, entries }: ResolvedSection): ReadonlyMap<string, number> {
  return new Map([['', line], ...[...entries].map(([key, entry]) => [key, entry.line] as const)]);
}

/** Interpolates a text that is not in the file: an option's default. */
export function interpolateDefault(text: string, entries: ReadonlyMap<string, ResolvedEntry>): Interpolation {
  // The entries are interpolated already: a "%" in them stands for itself.
  return interpolate(text, (key) => entries.get(key)?.value.replaceAll('%', '%%'), [...entries.keys()], []);
}

function withDefaults(ini: IniText, name: string): Map<string, ResolvedEntry> {
  const raw = new Map<string, ResolvedEntry>();
  const add = (section: string, inherited: boolean): void => {
    for (const [key, entry] of ini.sections.get(section)?.entries ?? [])
      raw.set(key, { ...entry, inherited });
  };
  add('DEFAULT', name !== 'DEFAULT');
  if (name !== 'DEFAULT') add(name, false);
  return raw;
}

/**
 * `%(key)s` and the how-to's `%(key)` stand for the key's value, `%%` for one `%`. Any other `%` stands for itself,
 * as in earlier releases: `date +%H` is a valid notify command.
 */
function interpolate(text: string, lookup: Lookup, known: string[], trail: readonly string[]): Interpolation {
  let problem: string | undefined;
  const value = text.replace(/%%|%\(([^()]*)\)s?/g, (whole, reference: string | undefined) => {
    if (reference === undefined) return '%';
    const result = resolveReference(reference.toLowerCase(), lookup, known, trail);
    if (result.kind === 'value') return result.value;
    problem ??= result.message;
    return whole;
  });
  return problem === undefined ? { kind: 'value', value } : { kind: 'problem', message: problem };
}

function resolveReference(
  key: string,
  lookup: Lookup,
  known: string[],
  trail: readonly string[],
): Interpolation {
  if (trail.includes(key)) {
    return { kind: 'problem', message: `refers to itself: ${[...trail, key].join(' -> ')}` };
  }
  const text = lookup(key);
  if (text === undefined) {
    return { kind: 'problem', message: `refers to %(${key}), which is not set${didYouMean(key, known)}` };
  }
  return interpolate(text, lookup, known, [...trail, key]);
}
