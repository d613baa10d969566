import { run } from './processes.ts';

export type NamespaceKind = 'mount' | 'pid' | 'net' | 'uts';

const flags: Readonly<Record<NamespaceKind, readonly string[]>> = {
  mount: ['--mount'],
  // The end of unshare ends all that it has started.
  pid: ['--mount', '--pid', '--fork', '--mount-proc', '--kill-child'],
  net: ['--net'],
  uts: ['--uts'],
};

/**
 * A command in namespaces of its own, as in a container. `setup` is run by sh with all rights in them; the command then has this
 * user's number again, since PostgreSQL and our programs refuse root.
 */
export function inNamespaces(
  kinds: readonly NamespaceKind[],
  setup: string,
  command: readonly string[],
): readonly [string, string[]] {
  const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
  const back = `exec unshare --user --map-user=${uid} --map-group=${gid} -- "$@"`;
  const args = ['--user', '--map-root-user', ...kinds.flatMap((kind) => flags[kind])];
  return ['unshare', [...args, '--', 'sh', '-c', `set -e\n${setup}\n${back}`, 'sh', ...command]];
}

/** Why there are none here; undefined where there are. */
export async function missingNamespaces(
  kinds: readonly NamespaceKind[],
  setup: string,
): Promise<string | undefined> {
  const [program, args] = inNamespaces(kinds, setup, ['true']);
  const tried = await run(program, args);
  return tried.code === 0 ? undefined : `no ${kinds.join(' and ')} namespaces here: ${tried.stderr.trim()}`;
}
