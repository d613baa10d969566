/**
 * Connections that are begun before anybody has a use for them: the handshake of ssh takes longer than all that must be
 * read before a connection may be used.
 */
import type { ConnectResult, RemoteShell, SshTarget, WithRemoteShell } from './ssh.ts';

type SshDeps = Parameters<WithRemoteShell>[0];

/** A connection without a use. */
interface Ahead {
  readonly opened: Promise<ConnectResult<RemoteShell>>;
  readonly end: () => Promise<void>;
}

export interface ConnectionsAhead {
  /** Begins a connection. If nobody takes it in time, it ends again. Resolves once ssh was started, or could not be. */
  readonly begin: (deps: SshDeps, target: SshTarget) => Promise<void>;
  /** Takes the connection that was begun to the same target, once; without one, opens another. */
  readonly withRemoteShell: WithRemoteShell;
  /** Ends those that nobody has taken. */
  readonly endUnused: () => Promise<void>;
}

/** A connection that was idle for longer may be lost without anybody knowing. */
const mostIdleMs = 5_000;

function beginOne(withRemoteShell: WithRemoteShell, deps: SshDeps, target: SshTarget): Ahead {
  const { promise: over, resolve: end } = withResolvers<undefined>();
  const { promise: opened, resolve, reject } = withResolvers<ConnectResult<RemoteShell>>();
  const ended = withRemoteShell(deps, target, (shell) => {
    resolve({ kind: 'used', value: shell });
    return over;
  }).then((result) => {
    if (result.kind !== 'used') resolve(result);
  }, reject);
  // It may be taken later, or never: until then a failure must not count as unhandled.
  opened.catch(() => undefined);
  return {
    opened,
    end: () => {
      end(undefined);
      return ended;
    },
  };
}

// Promise.withResolvers came with Node.js 22.
function withResolvers<T>() {
  let resolve: (value: T) => void = () => undefined;
  let reject: (reason: unknown) => void = () => undefined;
  const promise = new Promise<T>((onValue, onFailure) => {
    resolve = onValue;
    reject = onFailure;
  });
  return { promise, resolve, reject };
}

export function connectionsAhead(withRemoteShell: WithRemoteShell): ConnectionsAhead {
  const waiting = new Map<string, Ahead>();
  const take = (target: SshTarget): Ahead | undefined => {
    const key = JSON.stringify(target);
    const ahead = waiting.get(key);
    waiting.delete(key);
    return ahead;
  };
  return {
    begin: (deps, target) => {
      const { promise: started, resolve } = withResolvers<undefined>();
      const onStarted = (): void => {
        resolve(undefined);
      };
      const ahead = beginOne(withRemoteShell, { ...deps, onStarted }, target);
      waiting.set(JSON.stringify(target), ahead);
      const onOpened = (): void => {
        onStarted();
        const timer = setTimeout(() => {
          if (waiting.get(JSON.stringify(target)) === ahead) void take(target)?.end();
        }, mostIdleMs);
        timer.unref();
      };
      void ahead.opened.then(onOpened, onOpened);
      return started;
    },
    withRemoteShell: async (deps, target, use) => {
      const ahead = take(target);
      if (ahead === undefined) return withRemoteShell(deps, target, use);
      try {
        const result = await ahead.opened;
        return result.kind === 'used' ? { kind: 'used', value: await use(result.value) } : result;
      } finally {
        await ahead.end();
      }
    },
    endUnused: async () => {
      const unused = [...waiting.values()];
      waiting.clear();
      await Promise.all(unused.map(({ end }) => end()));
    },
  };
}
