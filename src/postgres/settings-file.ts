/**
 * Reading and changing `postgresql.conf`, `postgresql.auto.conf` and `recovery.conf` by the server's own rules
 * (manual, section "Setting Parameters"): one setting a line, `=` optional, names without regard to case,
 * the last setting wins.
 */
import { settingValue, type ValueSyntax } from './quoting.ts';

export type SettingsLine =
  | { readonly kind: 'setting'; readonly text: string; readonly name: string; readonly value: string }
  | { readonly kind: 'include'; readonly text: string; readonly directive: string; readonly path: string }
  /** Empty, or a comment only. */
  | { readonly kind: 'blank'; readonly text: string }
  /** The server would refuse this line; it belongs to the user and stays. */
  | { readonly kind: 'unreadable'; readonly text: string };

const includeDirectives = new Set(['include', 'include_if_exists', 'include_dir']);

/** A name, perhaps with a prefix; `=` or white space; a quoted value, or a bare one; perhaps a comment. */
const quotedInParameter = String.raw`'(?:[^'\\\n]|\\.|'')*'`;
const quotedDoubled = `'(?:[^'\\n]|'')*'`;
const quotedPlain = `'[^'\\n]+'`;

/** Reads only the text itself: the caller reads the files that it includes. */
export function parseSettings(text: string, syntax: ValueSyntax = 'parameter'): SettingsLine[] {
  const pattern = linePattern(syntax);
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines.map((line) => parseLine(line, pattern, syntax));
}

function linePattern(syntax: ValueSyntax): RegExp {
  const quoted = { parameter: quotedInParameter, doubled: quotedDoubled, plain: quotedPlain }[syntax];
  const name = String.raw`(?<name>[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*(?:\.[A-Za-z_][\w$]*)?)`;
  const bare = String.raw`[-+\w./:\u0080-\uffff]+`;
  return new RegExp(
    String.raw`^\s*${name}(?:\s*=\s*|\s+|(?='))(?:(?<quoted>${quoted})|(?<bare>${bare}))\s*(?:#.*)?$`,
  );
}

function parseLine(text: string, pattern: RegExp, syntax: ValueSyntax): SettingsLine {
  if (/^\s*(?:#.*)?$/.test(text)) return { kind: 'blank', text };
  const groups = pattern.exec(text)?.groups;
  if (groups === undefined) return { kind: 'unreadable', text };
  const name = (groups['name'] ?? '').toLowerCase();
  const value = groups['quoted'] === undefined ? (groups['bare'] ?? '') : unquote(groups['quoted'], syntax);
  if (includeDirectives.has(name)) return { kind: 'include', text, directive: name, path: value };
  return { kind: 'setting', text, name, value };
}

const controlCharacters: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };

function unquote(quoted: string, syntax: ValueSyntax): string {
  const inner = quoted.slice(1, -1);
  if (syntax === 'plain') return inner;
  if (syntax === 'doubled') return inner.replaceAll("''", "'");
  return inner.replaceAll(/''|\\([0-7]{1,3}|[^])/g, (whole: string, escaped: string | undefined) => {
    if (escaped === undefined) return "'";
    if (/^[0-7]/.test(escaped)) return String.fromCharCode(Number.parseInt(escaped, 8));
    return controlCharacters[escaped] ?? whole.slice(1);
  });
}

/** The settings in the text itself, by lower-case name. */
export function settingsIn(text: string, syntax: ValueSyntax = 'parameter'): Map<string, string> {
  const settings = new Map<string, string>();
  for (const line of parseSettings(text, syntax)) {
    if (line.kind === 'setting') settings.set(line.name, line.value);
  }
  return settings;
}

export interface SettingsChange {
  /**
   * Settings that are written at the end of the file, where neither an earlier line nor an included file overrides
   * them.
   */
  readonly set: ReadonlyMap<string, string>;
  /** Settings that are removed from the file, wherever they are. */
  readonly remove?: ReadonlySet<string>;
  readonly syntax?: ValueSyntax;
}

/**
 * The text with some settings changed. We identify settings by their names, because `ALTER SYSTEM` drops every
 * comment that could mark them as ours. All other lines stay as they are. Repeating the same change gives the same
 * text.
 */
export function withSettings(text: string, change: SettingsChange): string {
  const { set, remove = new Set<string>(), syntax = 'parameter' } = change;
  const replaced = new Set([...remove, ...set.keys()].map((name) => name.toLowerCase()));
  const kept = parseSettings(text, syntax)
    .filter((line) => line.kind !== 'setting' || !replaced.has(line.name))
    .map((line) => line.text);
  const added = [...set].map(([name, value]) => `${name} = ${settingValue(value, syntax)}`);
  return [...kept, ...added].map((line) => `${line}\n`).join('');
}
