import type { ConnectResult, RemoteShell, SshTarget } from '../../../../system/ssh.ts';
import type { StandbyDeps } from '../../../deps.ts';

type Work = (shell: RemoteShell) => Promise<void>;

/** Runs the work over a connection of its own. */
type Connection = (work: Work) => Promise<ConnectResult<void>>;

/** The next connection that nobody uses; undefined if none is left. */
export type TakeConnection = () => Connection | undefined;

function openConnection(deps: StandbyDeps, target: SshTarget) {
  let send: (work: Work) => void = () => undefined;
  const awaited = new Promise<Work>((resolve) => {
    send = resolve;
  });
  const result = deps.withRemoteShell(deps, target, async (shell) => (await awaited)(shell));
  const connection: Connection = (work) => {
    send(work);
    return result;
  };
  // Its error is reported to the caller that gives it work.
  return { connection, closed: result.catch(() => undefined) };
}

/**
 * Opens connections for the additional workers while `use` prepares the backup, because a login takes longer than the
 * rest of the preparation. Closes all of them afterwards.
 */
export async function withConnections<T>(
  deps: StandbyDeps,
  target: SshTarget,
  count: number,
  use: (take: TakeConnection) => Promise<T>,
): Promise<T> {
  const all = Array.from({ length: count }, () => openConnection(deps, target));
  const waiting = all.map(({ connection }) => connection);
  try {
    return await use(() => waiting.shift());
  } finally {
    for (const connection of waiting) void connection(() => Promise.resolve()).catch(() => undefined);
    await Promise.all(all.map(({ closed }) => closed));
  }
}
