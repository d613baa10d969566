import { splitWords } from './command-words.ts';
import { readName, readStandbyNames } from './name-values.ts';
import { readPath, readProgram, readSearchPath } from './path-values.ts';
import { findDangerousFlags } from './rsync-flags.ts';
import { readUrl, readUrls } from './url-values.ts';
import { value, type ValueResult, wrong } from './value-result.ts';

/** How a text of each kind is read; the type of the value follows from that. Messages quote the text. */
export const plainKinds = {
  /** Anything but control characters. */
  text: value<string>,
  /** A text that never appears in messages. */
  secret: value<string>,
  /** Shell command text. */
  shell: value<string>,
  /** A user or a host: one word that cannot be taken for a flag or a path. */
  name: readName,
  /** Absolute, without a trailing slash. */
  path: readPath,
  program: readProgram,
  'rsync-flags': readRsyncFlags,
  boolean: readBoolean,
  port: readPort,
  /** A number of bytes. */
  size: readSize,
  /** A time span in PostgreSQL's own units, as written. */
  span: readSpan,
  'queue-limit': readQueueLimit,
  /** A version of PostgreSQL, as written. */
  version: readVersion,
  /** Names that can be directory names. */
  'standby-names': readStandbyNames,
  /** Absolute directories. */
  'search-path': readSearchPath,
  url: readUrl,
  urls: readUrls,
} as const;

function readRsyncFlags(text: string): ValueResult<readonly string[]> {
  const split = splitWords(text);
  if (split.kind === 'problem') return wrong(split.message);
  const flags = split.words.filter((word) => word !== '');
  const dangers = findDangerousFlags(flags);
  return dangers.length === 0 ? value(flags) : wrong(...dangers);
}

const booleans = new Map([
  ...['yes', 'on', 'true', '1'].map((word) => [word, true] as const),
  ...['no', 'off', 'false', '0'].map((word) => [word, false] as const),
]);

function readBoolean(text: string): ValueResult<boolean> {
  const read = booleans.get(text.toLowerCase());
  if (read !== undefined) return value(read);
  return wrong(`"${text}" is neither on (yes, true, 1) nor off (no, false, 0)`);
}

type Range = readonly [min: number, max: number];

export function readNumber(text: string, [min, max]: Range, noun: string): ValueResult<number> {
  const range = describeRange([min, max]);
  if (!/^[+-]?\d+$/.test(text)) return wrong(`"${text}" is not a ${noun} (${range})`);
  const number = Number(text);
  return number >= min && number <= max ? value(number) : wrong(`"${text}" is out of range (${range})`);
}

function readPort(text: string): ValueResult<number> {
  return readNumber(text, [1, 65_535], 'port number');
}

export function readChoice(text: string, choices: readonly string[]): ValueResult<string> {
  const choice = choices.find((candidate) => candidate === text.toLowerCase());
  return choice === undefined ? wrong(`"${text}" is none of ${choices.join(', ')}`) : value(choice);
}

/** PostgreSQL's own units: kB is 1024 bytes. */
const unitPowers = ['b', 'kb', 'mb', 'gb', 'tb'];

function readSize(text: string): ValueResult<number> {
  // Zero is zero in every unit.
  if (text === '0') return value(0);
  const [, digits = '', unit = ''] = /^(\d{1,12})\s*([a-z]+)$/i.exec(text) ?? [];
  const power = unitPowers.indexOf(unit.toLowerCase());
  const bytes = Number(digits) * 1024 ** power;
  if (power >= 0 && Number.isSafeInteger(bytes)) return value(bytes);
  return wrong(`"${text}" is not a size such as 500MB or 20GB`);
}

/** Without a unit PostgreSQL would take milliseconds. */
function readSpan(text: string): ValueResult<string> {
  const [, digits = '', unit = ''] = /^(\d{1,9})\s*(ms|s|min|h|d)$/.exec(text) ?? [];
  if (Number(digits) > 0) return value(`${Number(digits)}${unit}`);
  return wrong(`"${text}" is not a time span such as 90s, 30min, 4h or 1d`);
}

/** How much a queue may hold. */
type QueueLimit =
  { readonly kind: 'bytes'; readonly bytes: number } | { readonly kind: 'files'; readonly files: number };

function readQueueLimit(text: string): ValueResult<QueueLimit> {
  if (/^[1-9]\d{0,8}$/.test(text)) return value({ kind: 'files', files: Number(text) });
  const size = readSize(text);
  if (size.kind === 'value' && size.value !== 0) return value({ kind: 'bytes', bytes: size.value });
  return wrong(`"${text}" is neither a size such as 50GB nor a number of files`);
}

/** Before 10 the first two numbers are the major version, from 10 on the first one is. */
function readVersion(text: string): ValueResult<string> {
  const [, major = '', minor] = /^(\d{1,2})(?:\.(\d{1,2}))?(?:\.\d{1,2})?$/.exec(text) ?? [];
  if (major === '' || (Number(major) < 10 && minor === undefined)) {
    return wrong(`"${text}" is not a version such as 8.4, 9.6 or 15`);
  }
  const isTooOld = Number(major) < 8 || (Number(major) === 8 && Number(minor) < 4);
  return isTooOld ? wrong(`"${text}" is older than 8.4, the first version supported`) : value(text);
}

/** `2 or 3`, `1 to 32`. */
export function describeRange([min, max]: Range): string {
  return max - min === 1 ? `${min} or ${max}` : `${min} to ${max}`;
}
