import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

export interface ProcessEntry {
  readonly pid: number;
  readonly parent: number;
  readonly state: string;
  readonly commandLine: string;
  readonly workingDirectory: string;
  readonly environment: string;
}

/** Every process that /proc shows now, zombies left out: they hold nothing and end with their parent. */
export function processTable(): ProcessEntry[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => processEntry(Number(name)))
    .filter((entry) => entry !== undefined);
}

/** One row of it: the whole table takes milliseconds. */
export function processEntry(pid: number): ProcessEntry | undefined {
  const entry = readEntry(pid);
  return entry?.state === 'Z' ? undefined : entry;
}

/** `root` and everything below it, parents first. */
export function familyOf(root: number, table = processTable()): ProcessEntry[] {
  const family = table.filter((entry) => entry.pid === root);
  for (const member of family) family.push(...table.filter((entry) => entry.parent === member.pid));
  return family;
}

/**
 * The processes that belong to a directory: those that name it in their command line or environment, or
 * work in it, with all their descendants. The asking process is never among them.
 */
export function processesOf(directory: string): ProcessEntry[] {
  const table = processTable();
  const own = table.filter((entry) => entry.pid !== process.pid && belongsTo(entry, directory));
  const families = own.flatMap((entry) => familyOf(entry.pid, table));
  return [...new Map(families.map((entry) => [entry.pid, entry])).values()];
}

function belongsTo(entry: ProcessEntry, directory: string): boolean {
  return [entry.commandLine, entry.workingDirectory, entry.environment].some((text) =>
    text.includes(directory),
  );
}

function readEntry(pid: number): ProcessEntry | undefined {
  const stat = readProc(pid, 'stat');
  // The name stands in parentheses and may hold anything, a parenthesis too.
  const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (state === undefined || parent === undefined) return undefined;
  return {
    pid,
    parent: Number(parent),
    state,
    commandLine: readProc(pid, 'cmdline').replaceAll('\0', ' ').trim(),
    workingDirectory: readWorkingDirectory(pid),
    environment: readProc(pid, 'environ'),
  };
}

/** What /proc says, or nothing: a process may end at any moment, and others' are not ours to read. */
export function readProc(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch {
    return '';
  }
}

function readWorkingDirectory(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return '';
  }
}
