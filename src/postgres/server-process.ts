/** A process whose working directory is a data directory. All processes of PostgreSQL have theirs. */
export interface ServerProcess {
  readonly pid: number;
  /** One letter (proc(5)): R and S work, T is stopped, D waits for a device. */
  readonly state: string;
  /** Its command line, which a server overwrites with the task of each process. */
  readonly title: string;
}

export type ServerRole = 'postmaster' | 'backend' | 'helper';

const programName = /^\.?(?:edb-)?(?:postgres|postmaster)(?![a-z_])/i;

/**
 * Whether a program of this name may be a server, also under a vendor's or a wrapper's name. `postgres_exporter` is
 * none.
 */
export function isServerProgram(name: string): boolean {
  return programName.test(name);
}

/** The same for a `case` of sh. */
export const serverProgramPatterns = [
  ...['postgres', 'postmaster'].flatMap((name) =>
    ['', '.', 'edb-'].flatMap((before) => [`${before}${name}`, `${before}${name}[!A-Za-z_]*`]),
  ),
].join('|');

/**
 * Processes that accept no statement from a client. Up to 9.6 some outlive a killed postmaster by a minute, and end
 * by themselves. Their titles are fixed (`ps` of 8.4 to 19), perhaps after cluster_name; a client's title has more
 * words.
 */
const helpers = [
  'checkpointer(?: process)?',
  '(?:background )?writer(?: process)?',
  'wal ?writer(?: process)?',
  'wal ?receiver(?: process)?(?: +streaming [0-9A-F]+/[0-9A-F]+)?',
  'wal ?summarizer',
  'autovacuum launcher(?: process)?',
  'autovacuum worker(?: process)?(?: +\\S+)?',
  'stats collector(?: process)?',
  'logger(?: process)?',
  'archiver(?: process)?(?: +(?:last was|archiving|failed on) \\S+)?',
  'startup(?: process)?(?: +(?:recovering|waiting for) \\S+)?',
  'logical replication launcher',
  'slotsync worker',
  'io worker(?: \\d+)?',
].join('|');
const helperTitle = new RegExp(`^postgres: (?:.*: )?(${helpers})\\s*$`);

/**
 * The role of a server's process, by its title. Every process that is not known to be a helper may serve a client; a
 * process that is ending has no title.
 */
export function roleOf({ title }: Pick<ServerProcess, 'title'>): ServerRole {
  if (title === '') return 'backend';
  if (!title.startsWith('postgres: ')) return 'postmaster';
  return helperTitle.test(title) ? 'helper' : 'backend';
}

/** `checkpointer (pid 42)`. */
export function describeHelper({ pid, title }: ServerProcess): string {
  return `${helperTitle.exec(title)?.[1] ?? title.trim()} (pid ${pid})`;
}

export function isStopped({ state }: Pick<ServerProcess, 'state'>): boolean {
  return state === 'T' || state === 't';
}

/** Why a process gives no answer although it is alive. */
export function describeState({ state }: Pick<ServerProcess, 'state'>): string {
  if (isStopped({ state })) return ': it is stopped, and can continue at any moment';
  return state === 'D' ? ': it waits for a device' : '';
}
