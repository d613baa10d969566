/** Files that --setup writes, and that a person may change afterwards. Pure. */
import { createHash } from 'node:crypto';
import { parseIniText } from '../config/ini-text.ts';
import { resolveSection } from '../config/ini-values.ts';
import type { OptionTable } from '../config/option.ts';
import { archiverOptions } from '../config/options-archiver.ts';
import { standbyOptions } from '../config/options-standby.ts';
import { readValue } from '../config/read-options.ts';

const mark = '# Unchanged since --setup wrote it: ';

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

/** The text with a last line by which a later run sees whether a person has changed it. */
export function markedText(text: string): string {
  return `${text}${mark}${digestOf(text)}\n`;
}

function isUnchanged(text: string): boolean {
  const at = text.lastIndexOf(mark);
  return at >= 0 && text.slice(at + mark.length).trim() === digestOf(text.slice(0, at));
}

export type FileVerdict =
  | { readonly kind: 'right' }
  | { readonly kind: 'to-write' }
  /** A person wrote or changed it, and it says something else; one line for each difference. */
  | { readonly kind: 'differs'; readonly differences: readonly string[] };

/** Key and value by section, as both programs read them. */
function valuesOf(text: string): ReadonlyMap<string, string> {
  const ini = parseIniText(text, { pathSections: ['tablespaces'] });
  const values = new Map<string, string>();
  for (const name of ini.sections.keys())
    for (const [key, entry] of resolveSection(ini, name).entries)
      if (!entry.inherited) values.set(`[${name}] ${key}`, entry.value);
  return values;
}

const secret = /password$/;

function shown(name: string, value: string | undefined): string {
  if (value === undefined) return 'not set';
  return secret.test(name) ? '(a password)' : value;
}

const options: OptionTable = { ...standbyOptions, ...archiverOptions };

/** Two texts may be read as the same value: `a,b` and `a, b`, or a path with a slash at its end. */
function isSameValue(name: string, one: string | undefined, other: string): boolean {
  if (one === undefined || one === other) return one === other;
  const option = options[name.slice(name.indexOf('] ') + 2)];
  if (option === undefined) return false;
  const [read, wanted] = [readValue(option, one), readValue(option, other)];
  return read.kind === 'value' && JSON.stringify(read) === JSON.stringify(wanted);
}

/** Lines that a person has added are theirs; only a value that we would write, and that is another one there, counts. */
function differencesOf(existing: string, wanted: string): readonly string[] {
  const there = valuesOf(existing);
  return [...valuesOf(wanted)].flatMap(([name, value]) => {
    const found = there.get(name);
    return isSameValue(name, found, value) ? [] : [`${name}: ${shown(name, found)} → ${shown(name, value)}`];
  });
}

/** @param wanted with its mark */
export function judgeIni(existing: string | undefined, wanted: string): FileVerdict {
  if (existing === undefined) return { kind: 'to-write' };
  if (existing === wanted) return { kind: 'right' };
  if (isUnchanged(existing)) return { kind: 'to-write' };
  const differences = differencesOf(existing, wanted);
  return differences.length === 0 ? { kind: 'right' } : { kind: 'differs', differences };
}

/** The same for a file in which only the whole text counts. */
export function judgeText(existing: string | undefined, wanted: string): FileVerdict {
  if (existing === wanted) return { kind: 'right' };
  if (existing === undefined || isUnchanged(existing)) return { kind: 'to-write' };
  const there = new Set(existing.split('\n').map((line) => line.trim()));
  const lines = wanted.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#'));
  const missing = lines.filter((line) => !there.has(line.trim()));
  return missing.length === 0 ? { kind: 'right' } : { kind: 'differs', differences: missing };
}
