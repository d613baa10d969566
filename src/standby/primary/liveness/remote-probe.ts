import { leash } from '../../../system/leash.ts';
import { type ClockOffset, clockOffset } from '../../../system/remote-clock.ts';
import type { RemoteResult, RemoteShell, RemoteWork, SshTarget } from '../../../system/ssh.ts';
import { dataWork } from '../../../verbs/data-requests.ts';
import type { RemoteQuestion } from '../../../verbs/scripts/liveness.ts';
import type { StandbyDeps } from '../../deps.ts';
import { readIdentity, type ServerIdentity, unknownIdentity } from './identity.ts';
import { judgeRemote, readProcesses, readPsql } from './remote-findings.ts';
import type { RemoteAnswer } from './verdict.ts';

export interface RemoteLook {
  readonly answer: RemoteAnswer;
  /** The server that lives there; asked only where it is wanted. */
  readonly identity: ServerIdentity;
  /** Asked with the identity; undefined if the host did not say its time. */
  readonly clock?: ClockOffset | undefined;
}

export interface Wanted {
  /** The system identifier of our cluster, if it is known. */
  readonly systemIdentifier: string | undefined;
  readonly identity: boolean;
}

export type ProbeDeps = Pick<
  StandbyDeps,
  'startSession' | 'withRemoteShell' | 'log' | 'now' | 'monotonicMs' | 'pause'
>;

/** The connection of one look, and the time that it has left. */
interface Look {
  readonly deps: ProbeDeps;
  readonly shell: RemoteShell;
  readonly question: RemoteQuestion;
  readonly wanted: Wanted;
  readonly leftMs: () => number;
}

interface Said {
  readonly lines: readonly string[];
  readonly result: RemoteResult;
}

function lookAtProcesses({ primaryPgdata }: RemoteQuestion): RemoteWork {
  return dataWork('processes', { root: primaryPgdata === undefined ? [] : [primaryPgdata] });
}

function askServer(name: 'answers' | 'server-identity', question: RemoteQuestion): RemoteWork {
  const { host: address, port, user, database, limitS, psql } = question;
  return dataWork(name, { address, port, user, database, limitS: Math.ceil(limitS) }, { psql });
}

/** A script whose connection is lost has still printed something. */
async function ask({ shell, leftMs }: Look, work: RemoteWork): Promise<Said> {
  const lines: string[] = [];
  const onLine = (line: string): void => {
    lines.push(line);
  };
  return { result: await shell.run(work, { limitMs: leftMs(), onLine }), lines };
}

const unreachable = (reason: string): RemoteLook => ({
  answer: { kind: 'unreachable', reason },
  identity: unknownIdentity,
});

async function identityOf(look: Look, processes: readonly string[], isOfDirectory: boolean) {
  if (!look.wanted.identity) return unknownIdentity;
  const { lines } = await ask(look, askServer('server-identity', look.question));
  return readIdentity(lines, processes, isOfDirectory);
}

const againMs = 200;

/**
 * Looks until the survivors of a postmaster have ended, or the time is over: such processes prove neither life nor
 * death.
 */
async function awaitHelpers(look: Look, first: Said): Promise<Said> {
  const { deps, wanted, question, leftMs } = look;
  const work = lookAtProcesses(question);
  for (let said = first; ;) {
    const { alive, helpers } = readProcesses(said.lines, wanted.systemIdentifier);
    if (alive !== undefined || helpers.length === 0 || leftMs() <= 2 * againMs) return said;
    await deps.pause(againMs);
    const next = await ask(look, work);
    if (next.result.kind === 'lost') return said;
    said = next;
  }
}

async function lookAtServer(look: Look): Promise<RemoteLook> {
  const { wanted, question } = look;
  const first = await ask(look, lookAtProcesses(question));
  const { alive } = readProcesses(first.lines, wanted.systemIdentifier);
  // A server that was seen alive before the connection was lost counts as alive.
  if (alive !== undefined) {
    const identity = await identityOf(look, first.lines, true);
    return { answer: alive, identity };
  }
  if (first.result.kind === 'lost') return unreachable(first.result.reason);
  const psql = await ask(look, askServer('answers', question));
  // A psql that hangs has proved nothing.
  if (psql.result.kind === 'lost') return unreachable(psql.result.reason);
  const last = await awaitHelpers(look, first);
  const answer = judgeRemote(readProcesses(last.lines, wanted.systemIdentifier), readPsql(psql.lines));
  const identity = answer.kind === 'alive' ? await identityOf(look, last.lines, false) : unknownIdentity;
  return { answer, identity };
}

/** Last, so that it takes no time from what the verdict needs. */
async function lookThere(look: Look): Promise<RemoteLook> {
  const seen = await lookAtServer(look);
  if (!look.wanted.identity || seen.answer.kind === 'unreachable') return seen;
  const beforeMs = look.deps.now();
  const { lines } = await ask(look, dataWork('clock', {}));
  return { ...seen, clock: clockOffset(lines, beforeMs, look.deps.now()) };
}

const checkSsh = 'Check ssh: in the INI: nothing can be asked of the primary without it.';

/** Looks at the primary's host over ssh, within the limit. */
export async function probeRemote(
  deps: ProbeDeps,
  target: SshTarget,
  question: RemoteQuestion,
  wanted: Wanted,
  limitMs: number,
  signal: AbortSignal,
): Promise<RemoteLook> {
  // The answer is no longer needed, or the limit has passed.
  const held = leash(deps.startSession, [signal, AbortSignal.timeout(limitMs)]);
  const endMs = deps.monotonicMs() + limitMs;
  const leftMs = (): number => Math.max(1, endMs - deps.monotonicMs());
  const connectTimeoutS = Math.max(1, Math.min(target.connectTimeoutS, Math.ceil(limitMs / 1000)));
  const used = await deps.withRemoteShell(
    { startSession: held.startSession, log: deps.log },
    // A host that was reached was reached, whatever its start-up files print.
    { ...target, connectTimeoutS, allowsNoise: true },
    (shell) => lookThere({ deps, shell, question, wanted, leftMs }),
  );
  if (used.kind === 'used') return used.value;
  const reason = held.notStarted();
  if (reason === undefined) return unreachable(used.reason);
  const answer = { kind: 'unasked', reason: `ssh could not be started: ${reason}`, check: checkSsh } as const;
  return { answer, identity: unknownIdentity };
}
