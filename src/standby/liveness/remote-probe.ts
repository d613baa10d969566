import type { Session, StartSession } from '../../system/command.ts';
import type { SshTarget } from '../../system/ssh.ts';
import type { StandbyDeps } from '../deps.ts';
import { readFindings, remoteScript, type RemoteFinding, type RemoteQuestion } from './remote-script.ts';

export type RemoteAnswer = RemoteFinding | { readonly kind: 'unreachable'; readonly reason: string };

interface Leash {
  readonly startSession: StartSession;
  readonly release: () => void;
}

/** Ends every session of ours when the limit passes or the answer is no longer wanted: ssh alone may wait for ever. */
function leash(startSession: StartSession, limitMs: number, signal: AbortSignal): Leash {
  const sessions: Session[] = [];
  const endAll = (): void => {
    for (const session of sessions) session.kill();
  };
  const timer = setTimeout(endAll, limitMs);
  signal.addEventListener('abort', endAll, { once: true });
  return {
    startSession: (command, options) => {
      const session = startSession(command, options);
      sessions.push(session);
      return session;
    },
    release: () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', endAll);
    },
  };
}

/** What was seen before the connection was lost counts, if it is life: psql may hang where the postmaster was found. */
function readCutOff(lines: readonly string[], reason: string): RemoteAnswer {
  const finding = readFindings(lines);
  return finding.kind === 'alive' ? finding : { kind: 'unreachable', reason };
}

/** Looks at the primary's host over ssh, within the limit. */
export async function probeRemote(
  deps: Pick<StandbyDeps, 'startSession' | 'withRemoteShell' | 'log'>,
  target: SshTarget,
  question: RemoteQuestion,
  limitMs: number,
  signal: AbortSignal,
): Promise<RemoteAnswer> {
  const held = leash(deps.startSession, limitMs, signal);
  const lines: string[] = [];
  const onLine = (line: string): void => {
    lines.push(line);
  };
  try {
    const answer = await deps.withRemoteShell(
      { startSession: held.startSession, log: deps.log },
      {
        ...target,
        connectTimeoutS: Math.max(1, Math.min(target.connectTimeoutS, Math.ceil(limitMs / 1000))),
      },
      (shell) => shell.run(remoteScript(question), { limitMs, onLine }),
    );
    if (answer.kind === 'unreachable') return answer;
    return answer.value.kind === 'lost' ? readCutOff(lines, answer.value.reason) : readFindings(lines);
  } finally {
    held.release();
  }
}
