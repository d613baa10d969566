import type { ConnectResult, RemoteShell, SshTarget } from '../../../../system/ssh.ts';
import type { StandbyDeps } from '../../../deps.ts';

type Work = (shell: RemoteShell) => Promise<void>;

/** Does the work over a connection of its own. */
type Member = (work: Work) => Promise<ConnectResult<void>>;

/** Connections for the further workers, opened while the backup is prepared: a login takes longer than the rest of that. */
export interface Crew {
  /** The next member who has nothing to do; undefined where nobody is left. */
  readonly take: () => Member | undefined;
}

interface Hired {
  readonly member: Member;
  /** Its connection is gone. */
  readonly gone: Promise<unknown>;
}

function hire(deps: StandbyDeps, target: SshTarget): Hired {
  let send: (work: Work) => void = () => undefined;
  const awaited = new Promise<Work>((resolve) => {
    send = resolve;
  });
  const result = deps.withRemoteShell(deps, target, async (shell) => (await awaited)(shell));
  const member: Member = (work) => {
    send(work);
    return result;
  };
  // What went wrong is told to whoever sends the member to work.
  return { member, gone: result.catch(() => undefined) };
}

/** Connects while `use` goes on, and ends all connections afterwards. */
export async function withCrew<T>(
  deps: StandbyDeps,
  target: SshTarget,
  size: number,
  use: (crew: Crew) => Promise<T>,
): Promise<T> {
  const all = Array.from({ length: size }, () => hire(deps, target));
  const waiting = all.map(({ member }) => member);
  try {
    return await use({ take: () => waiting.shift() });
  } finally {
    for (const member of waiting) void member(() => Promise.resolve()).catch(() => undefined);
    await Promise.all(all.map(({ gone }) => gone));
  }
}
