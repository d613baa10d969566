import { splitWords } from './command-words.ts';
import { readName, readStandbyNames } from './name-values.ts';
import type { Option } from './option.ts';
import { readPath, readProgram, readSearchPath } from './path-values.ts';
import { findDangerousFlags } from './rsync-flags.ts';
import { value, type ValueResult, wrong } from './value-result.ts';

/** Reads one value of the option's kind. Messages quote the value, unless it is a secret. */
export function readValue(option: Option, text: string): ValueResult {
  // eslint-disable-next-line no-control-regex -- finding control characters is the purpose
  if (/[\u0000-\u0008\u000b-\u001f\u007f]/.test(text)) return wrong('holds a control character');
  if (text.includes('\n') && !spansLines(option)) return wrong('must be one line');
  switch (option.kind) {
    case 'text':
    case 'secret':
    case 'shell':
      return value(text);
    case 'name':
      return readName(text);
    case 'path':
      return readPath(text);
    case 'program':
      return readProgram(text);
    case 'rsync-flags':
      return readRsyncFlags(text);
    case 'boolean':
      return readBoolean(text);
    case 'port':
      return readInteger(text, 1, 65535, 'port number');
    case 'integer':
      return readInteger(text, option.min, option.max, 'whole number');
    case 'seconds':
      return readInteger(text, option.min, option.max, 'number of seconds');
    case 'choice':
      return readChoice(text, option.choices);
    case 'size':
      return readSize(text);
    case 'queue-limit':
      return readQueueLimit(text);
    case 'version':
      return readVersion(text);
    case 'standby-names':
      return readStandbyNames(text);
    case 'search-path':
      return readSearchPath(text);
  }
}

function spansLines(option: Option): boolean {
  return ['standby-names', 'search-path', 'rsync-flags', 'shell'].includes(option.kind);
}

function readRsyncFlags(text: string): ValueResult {
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

function readBoolean(text: string): ValueResult {
  const read = booleans.get(text.toLowerCase());
  if (read !== undefined) return value(read);
  return wrong(`"${text}" is neither on (yes, true, 1) nor off (no, false, 0)`);
}

function readInteger(text: string, min: number, max: number, noun: string): ValueResult {
  const range = describeRange(min, max);
  if (!/^[+-]?\d+$/.test(text)) return wrong(`"${text}" is not a ${noun} (${range})`);
  const number = Number(text);
  return number >= min && number <= max ? value(number) : wrong(`"${text}" is out of range (${range})`);
}

function readChoice(text: string, choices: readonly string[]): ValueResult {
  const choice = choices.find((candidate) => candidate === text.toLowerCase());
  return choice === undefined ? wrong(`"${text}" is none of ${choices.join(', ')}`) : value(choice);
}

/** PostgreSQL's own units: kB is 1024 bytes. */
const unitPowers = ['b', 'kb', 'mb', 'gb', 'tb'];

function readSize(text: string): ValueResult {
  // Zero is zero in every unit.
  if (text === '0') return value(0);
  const [, digits = '', unit = ''] = /^(\d{1,12})\s*([a-z]+)$/i.exec(text) ?? [];
  const power = unitPowers.indexOf(unit.toLowerCase());
  const bytes = Number(digits) * 1024 ** power;
  if (power >= 0 && Number.isSafeInteger(bytes)) return value(bytes);
  return wrong(`"${text}" is not a size such as 500MB or 20GB`);
}

function readQueueLimit(text: string): ValueResult {
  if (/^[1-9]\d{0,8}$/.test(text)) return value({ kind: 'files', files: Number(text) });
  const size = readSize(text);
  if (size.kind === 'value' && size.value !== 0) return value({ kind: 'bytes', bytes: size.value });
  return wrong(`"${text}" is neither a size such as 50GB nor a number of files`);
}

/** Before 10 the first two numbers are the major version, from 10 on the first one is. */
function readVersion(text: string): ValueResult {
  const [, major = '', minor] = /^(\d{1,2})(?:\.(\d{1,2}))?(?:\.\d{1,2})?$/.exec(text) ?? [];
  if (major === '' || (Number(major) < 10 && minor === undefined)) {
    return wrong(`"${text}" is not a version such as 8.4, 9.6 or 15`);
  }
  const isTooOld = Number(major) < 8 || (Number(major) === 8 && Number(minor) < 4);
  return isTooOld ? wrong(`"${text}" is older than 8.4, the first version supported`) : value(text);
}

/** `2 or 3`, `1 to 32`. */
export function describeRange(min: number, max: number): string {
  return max - min === 1 ? `${min} or ${max}` : `${min} to ${max}`;
}
