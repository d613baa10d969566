import { interpolateDefault, type ResolvedEntry, type ResolvedSection } from './ini-values.ts';
import { didYouMean, nearestName } from './nearest.ts';
import type { Option, OptionTable } from './option.ts';
import { plainKinds, readChoice, readNumber } from './option-values.ts';
import type { Problem } from './problem.ts';
import { type ValueResult, wrong } from './value-result.ts';

export interface ReadOptions {
  /** By key; undefined if there is neither a value nor a default. */
  readonly values: Record<string, unknown>;
  readonly problems: Problem[];
  readonly warnings: Problem[];
}

/** Without flags or directories: an empty list differs from a missing key. */
const mayBeEmpty: readonly Option['kind'][] = ['rsync-flags', 'search-path'];
const spansLines: readonly Option['kind'][] = [
  'standby-names',
  'search-path',
  'rsync-flags',
  'shell',
  'urls',
];

/** The keys of the other program's INI file. */
export interface OtherTable {
  readonly program: string;
  readonly keys: OptionTable;
}

/** Reads a section by its table and finds everything that is wrong with it, including unknown keys. */
export function readOptions(table: OptionTable, section: ResolvedSection, other?: OtherTable): ReadOptions {
  const found: ReadOptions = { values: {}, problems: [...section.problems], warnings: [] };
  const strangers = unknownKeys(table, section);
  const isOthers = ({ key }: ResolvedEntry) => other !== undefined && Object.hasOwn(other.keys, key);
  const unknown = strangers.filter((entry) => !isOthers(entry));
  found.problems.push(...unknown.map((key) => describeUnknown(key, table)));
  found.problems.push(...strangers.filter(isOthers).map((key) => describeOthers(key, table, other?.program)));
  // A mistyped required key is one mistake and is reported once: as the unknown key that names it.
  const mistyped = new Set(unknown.map((key) => nearestName(key.key, Object.keys(table))));
  for (const [key, option] of Object.entries(table)) {
    const entry = section.entries.get(key);
    if (option.legacy === undefined) found.values[key] = undefined;
    if (entry !== undefined) readEntry(found, option, entry, table);
    else if (!section.failedKeys.has(key)) readMissing(found, option, key, section, mistyped.has(key));
  }
  return found;
}

/** Reads one value of the option's kind. */
export function readValue(option: Option, text: string): ValueResult<unknown> {
  // eslint-disable-next-line no-control-regex -- finding control characters is the purpose
  if (/[\u0000-\u0008\u000b-\u001f\u007f]/.test(text)) return wrong('holds a control character');
  // A shell command may print what it likes; anything else would silently become another value.
  if (text.includes('\ufffd') && option.kind !== 'shell') return wrong('holds bytes that are not UTF-8');
  if (text.includes('\n') && !spansLines.includes(option.kind)) return wrong('must be one line');
  if (option.kind === 'integer') return readNumber(text, option.range, 'whole number');
  if (option.kind === 'seconds') return readNumber(text, option.range, 'number of seconds');
  if (option.kind === 'choice') return readChoice(text, option.choices);
  return plainKinds[option.kind](text);
}

function unknownKeys(table: OptionTable, section: ResolvedSection): ResolvedEntry[] {
  return [...section.entries.values()].filter(
    (entry) => !entry.inherited && !Object.hasOwn(table, entry.key),
  );
}

function describeUnknown(entry: ResolvedEntry, table: OptionTable): Problem {
  const hint = didYouMean(entry.key, Object.keys(table));
  return { line: entry.line, message: `unknown key "${entry.key}"${hint}` };
}

/** Only a longer or shorter form of the key is what its writer may have meant: `rsync` and `rsync_bin`. */
function describeOthers({ key, line }: ResolvedEntry, table: OptionTable, program = ''): Problem {
  const meant = Object.keys(table).filter((own) => own.startsWith(key) || key.startsWith(own));
  const message = `unknown key "${key}": it belongs in the INI file of ${program}${didYouMean(key, meant)}`;
  return { line, message };
}

function readEntry(found: ReadOptions, option: Option, entry: ResolvedEntry, table: OptionTable): void {
  const { key, line } = entry;
  found.problems.push(...findSwallowedKeys(entry, table));
  if (option.legacy !== undefined) {
    found.warnings.push({ line, message: `"${key}" has no effect any more: ${option.legacy}` });
    return;
  }
  const text = /^(""|'')$/.test(entry.value) ? '' : entry.value;
  if (text === '' && !mayBeEmpty.includes(option.kind)) {
    readEmpty(found, option, entry);
    return;
  }
  const result = readValue(option, text);
  if (result.kind === 'value') found.values[key] = result.value;
  else found.problems.push(...result.messages.map((message) => ({ line, message: `${key}: ${message}` })));
}

function readEmpty(found: ReadOptions, option: Option, { key, line }: ResolvedEntry): void {
  if (option.required) {
    found.problems.push({ line, message: `${key}: is empty, but needed: ${option.summary}` });
  } else if (option.default !== undefined) {
    const message = `${key}: is empty; without this line it would be ${option.default}`;
    found.problems.push({ line, message });
  }
}

function readMissing(
  found: ReadOptions,
  option: Option,
  key: string,
  section: ResolvedSection,
  isMistyped: boolean,
): void {
  if (option.required === true && !isMistyped) {
    const message = `missing required key "${key}": ${option.summary}`;
    found.problems.push({ line: section.line, message });
  }
  if (option.default === undefined) return;
  const text = interpolateDefault(option.default, section.entries);
  // A default that refers to a missing key: that key is reported, the keys that depend on it are not.
  if (text.kind === 'problem') return;
  const result = readValue(option, text.value);
  if (result.kind === 'value') found.values[key] = result.value;
}

/**
 * In this dialect, a key or a section header that is indented deeper than the key above it becomes a part of that key's
 * value. No author intends that, and the setting, or the whole section, would be lost without a message.
 */
function findSwallowedKeys(entry: ResolvedEntry, table: OptionTable): Problem[] {
  return entry.continued.flatMap(({ line, text }) => {
    // With blanks inside its brackets it would be a command: `[ -e /tmp/quiet ]`.
    const header = /^\[[^\s\]]+\]$/.exec(text)?.[0];
    const key = /^([A-Za-z_]+)\s*[:=]/.exec(text)?.[1]?.toLowerCase();
    const lost = key !== undefined && Object.hasOwn(table, key) ? key : header;
    if (lost === undefined) return [];
    const message = `"${lost}" is indented deeper than "${entry.key}" on line ${entry.line}, so it would be a part of that value`;
    return [{ line, message }];
  });
}
