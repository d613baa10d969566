import {
  describeHelper,
  describeState,
  isStopped,
  roleOf,
  type ServerProcess,
} from '../../../postgres/server-process.ts';
import { type StoppedFor, stoppedForIn } from '../../../system/stopped-for.ts';
import type { Alive, RemoteFinding } from './verdict.ts';

/** The output of the scripts in verbs/scripts/liveness.ts. */
type Lines = readonly string[];

export function valuesOf(lines: Lines, word: string): readonly string[] {
  return lines.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1));
}

function processesIn(lines: Lines): readonly ServerProcess[] {
  return valuesOf(lines, 'server').flatMap((line) => {
    const [, pid, state = '', title = ''] = /^(\d+) (\S+) (.*)$/.exec(line) ?? [];
    return pid === undefined ? [] : [{ pid: Number(pid), state, title: title.trimEnd() }];
  });
}

const life = (by: string, answers = true): Alive => ({ kind: 'alive', by, answers });

/** The finding of the look at the processes. */
export interface ProcessFinding {
  /** A living server. */
  readonly alive: Alive | undefined;
  /** Helpers that outlived their postmaster: they end by themselves. */
  readonly helpers: readonly ServerProcess[];
  /** The data directory exists, is the primary's, and all its processes could be seen. */
  readonly hasLooked: boolean;
  /** The reason why the look proves nothing. */
  readonly obstacle: string | undefined;
  readonly unsent: number | undefined;
  /** A switchover has stopped the server: that it would start as a standby is no obstacle then. */
  readonly stoppedFor: StoppedFor | undefined;
  readonly notes: readonly string[];
}

function findStoppedFor(lines: Lines): StoppedFor | undefined {
  return stoppedForIn(valuesOf(lines, 'record').join('\n'));
}

function findLife(lines: Lines, servers: readonly ServerProcess[]): Alive | undefined {
  const [running] = valuesOf(lines, 'postmaster');
  if (running !== undefined) return life(`its postmaster runs there (pid ${running})`);
  const postmaster = servers.find((server) => roleOf(server) === 'postmaster');
  if (postmaster !== undefined)
    return life(
      `its postmaster runs there (pid ${postmaster.pid})${describeState(postmaster)}`,
      !isStopped(postmaster),
    );
  const backends = servers.filter((server) => roleOf(server) === 'backend');
  if (backends.length === 0) return undefined;
  return life(`server processes still run there (pid ${backends.map(({ pid }) => pid).join(', ')})`);
}

function findObstacle(lines: Lines, expected: string | undefined): string | undefined {
  if (lines.includes('no-pgdata')) return 'its data directory is not known';
  if (lines.includes('blind')) return 'sh there cannot compare directories';
  const hidden = valuesOf(lines, 'hidden');
  if (hidden.length > 0)
    return `server processes there cannot be inspected (pid ${hidden.join(', ')}): they may belong to the primary`;
  const [identifier = ''] = valuesOf(lines, 'identifier');
  if (expected !== undefined && identifier !== '' && identifier !== expected)
    return `the data directory there is of another cluster (system identifier ${identifier}, not ${expected})`;
  if (lines.includes('recovers') && findStoppedFor(lines) === undefined)
    return "the data directory there is a standby's";
  return lines.includes('looked') ? undefined : 'its data directory cannot be read there';
}

function notesOf(lines: Lines): readonly string[] {
  return valuesOf(lines, 'container').map(
    (pid) =>
      `postmaster.pid there names ${pid}, and ssh leads into a container, which shows no process of another: make sure that the server does not run beside it`,
  );
}

/** @param expected system identifier of our cluster, if it is known */
export function readProcesses(lines: Lines, expected: string | undefined): ProcessFinding {
  const servers = processesIn(lines);
  const obstacle = findObstacle(lines, expected);
  const [unsent] = valuesOf(lines, 'unsent');
  return {
    alive: findLife(lines, servers),
    helpers: servers.filter((server) => roleOf(server) === 'helper'),
    hasLooked: obstacle === undefined,
    obstacle,
    unsent: unsent === undefined ? undefined : Number(unsent),
    stoppedFor: findStoppedFor(lines),
    notes: notesOf(lines),
  };
}

/** libpq's own messages, in the C locale, for a connection that nobody accepted. */
const nobodyThere =
  /connection refused|no such file or directory|could not translate host name|unreachable|no route to host/i;

/** The kernel accepts connections for a stopped server: silence proves neither that one lives nor that none does. */
const silence = /timeout expired|timed out/i;

/** The connection was accepted, but no server's answer came: a proxy or another program, or a server that just died. */
const holding = /server closed the connection unexpectedly|received invalid response/i;

export type PsqlFinding =
  | { readonly kind: 'answered'; readonly said: string }
  | { readonly kind: 'nobody' }
  | { readonly kind: 'silent' | 'held' | 'cannot-ask'; readonly said: string };

/** Anything that does not clearly mean "no server" counts as an answer: a refused password does. */
export function readPsql(lines: Lines): PsqlFinding {
  const [text] = valuesOf(lines, 'psql');
  const status = text === undefined ? undefined : Number(text);
  const said = valuesOf(lines, 'said').join(' ').trim();
  if (status === 0) return { kind: 'answered', said };
  if (status !== 2) return { kind: 'cannot-ask', said };
  if (silence.test(said)) return { kind: 'silent', said };
  if (holding.test(said)) return { kind: 'held', said };
  return nobodyThere.test(said) ? { kind: 'nobody' } : { kind: 'answered', said };
}

/** Combines the results of the processes and of psql there. */
export function judgeRemote(processes: ProcessFinding, psql: PsqlFinding): RemoteFinding {
  if (processes.alive !== undefined) return processes.alive;
  if (psql.kind === 'answered') return life(`psql there says: ${psql.said}`);
  const { hasLooked, obstacle, unsent, helpers, stoppedFor } = processes;
  if (hasLooked || (psql.kind === 'nobody' && obstacle === 'its data directory is not known')) {
    const leftovers = helpers.map(describeHelper).join(', ');
    const left =
      leftovers === '' ? [] : [`its server has ended, but some of its processes have not yet: ${leftovers}`];
    const held =
      psql.kind === 'held' ? [`its port is held there by something that is no server: ${psql.said}`] : [];
    return { kind: 'dead', unsent, hasLooked, stoppedFor, notes: [...left, ...held, ...processes.notes] };
  }
  if (psql.kind === 'held')
    return life(
      `its port is held there, by a hung server or a proxy: ${psql.said}; and ${obstacle ?? ''}`,
      false,
    );
  if (psql.kind === 'nobody')
    return { kind: 'unclear', reason: `psql is refused there, but ${obstacle ?? ''}` };
  const problem = psql.kind === 'silent' ? 'gets no answer there' : 'cannot be run there';
  return { kind: 'unclear', reason: `psql ${problem} (${psql.said}), and ${obstacle ?? ''}` };
}
