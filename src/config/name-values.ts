import { splitList } from './path-values.ts';
import { value, type ValueResult, wrong } from './value-result.ts';

/** A user or a host. A text that could be taken for a flag or for `user@host` is refused. */
export function readName(text: string): ValueResult<string> {
  if (text.startsWith('-')) return wrong(`"${text}" would be taken for a flag`);
  if (text.includes('@')) return wrong(`"${text}" holds an "@": user and host have keys of their own`);
  if (endsWithPort(text)) return wrong(`"${text}" holds a port: it has a key of its own`);
  if (/[\s/'"\\$`,;]/.test(text)) return wrong(`"${text}" is not a single plain name`);
  return value(text);
}

/** `host:5432`, but not an IPv6 address. */
function endsWithPort(text: string): boolean {
  return /^[^:]*:\d+$/.test(text);
}

/**
 * Standbys, separated by commas: each is the name of a directory, and usually of a host. Releases 1.3 and 1.4 took single
 * quotes out.
 */
export function readStandbyNames(text: string): ValueResult<readonly string[]> {
  const names = splitList(text.replaceAll("'", ''), /[,\n]/);
  const messages = names.flatMap(judgeStandbyName);
  for (const [index, name] of names.entries()) {
    if (names.indexOf(name) !== index) messages.push(`"${name}" is listed twice`);
  }
  if (names.length === 0) messages.push('names no standby');
  return messages.length === 0 ? value(names) : wrong(...messages);
}

function judgeStandbyName(name: string): string[] {
  if (/\s/.test(name)) return [`"${name}" holds a blank: separate standbys by commas`];
  if (name.includes(';')) return [`"${name}" holds a ";": separate standbys by commas`];
  if (name === 'shipper') return ['"shipper" cannot be a standby: the files of the shipper have that name'];
  if (name === 'DEFAULT') return ['"DEFAULT" cannot be a standby: it is the section of the defaults'];
  if (/^[.-]/.test(name))
    return [`"${name}" begins with "${name.charAt(0)}", but the name of a queue directory must not`];
  if (endsWithPort(name))
    return [`"${name}" holds a port: in the section of that standby, "ssh: /usr/bin/ssh -p PORT" names it`];
  if (name.includes('@')) return [`"${name}" holds an "@": the user has a key of its own`];
  if (/[/'"\\$`[\]]/.test(name)) return [`"${name}" cannot be the name of a queue directory`];
  return [];
}
