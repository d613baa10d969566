import type { CommandLine } from '../command-line.ts';
import { splitWords } from './command-words.ts';
import { value, type ValueResult, wrong } from './value-result.ts';

/**
 * Accepts only an absolute path: the meaning of a relative one depends on the directory in which the program is
 * started.
 */
export function readPath(text: string): ValueResult<string> {
  if (text.startsWith('~')) return wrong(notExpanded(text));
  if (/^["'].*["']$/.test(text)) return wrong(`${text}: write the path without quotes`);
  if (!text.startsWith('/')) return wrong(`"${text}" is not an absolute path`);
  if (text.split('/').includes('..')) return wrong(`"${text}" holds "..": write the path without it`);
  const path = text.replace(/\/{2,}/g, '/').replace(/(\/\.)*\/?$/, '');
  // With the root directory, rsync with --delete or a mode of 0700 would affect the whole machine.
  if (path === '') return wrong(`"${text}" is the root directory`);
  return value(path);
}

/** Whether `path` is `directory` or lies below it. Both are as `readPath` leaves them. */
export function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}

/** A program by its absolute path or its plain name, followed by flags of its own. */
export function readProgram(text: string): ValueResult<CommandLine> {
  const split = splitWords(text);
  if (split.kind === 'problem') return wrong(split.message);
  const [program = '', ...args] = split.words;
  if (program.startsWith('~')) return wrong(notExpanded(program));
  if (program === '' || program.startsWith('-')) return wrong(`"${text}" does not begin with a program`);
  if (program.includes('/') && !program.startsWith('/')) {
    return wrong(`"${program}" is neither an absolute path nor a plain program name`);
  }
  return value({ program, args });
}

/** Directories, separated by colons as in PATH, or by commas. */
export function readSearchPath(text: string): ValueResult<readonly string[]> {
  const directories: string[] = [];
  const messages: string[] = [];
  for (const part of splitList(text, /[:,\n]/)) {
    const result = readPath(part);
    if (result.kind === 'value') directories.push(result.value);
    else messages.push(...result.messages);
  }
  return messages.length === 0 ? value([...new Set(directories)]) : wrong(...messages);
}

export function splitList(text: string, separator: RegExp): string[] {
  return text
    .split(separator)
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

function notExpanded(text: string): string {
  return `"${text}": "~" is not expanded here, write the whole path`;
}
