import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './processes.ts';

/** The first path is seen in the place of the second one. */
export type Mount = readonly [from: string, to: string];

const enter = `
user=$1 group=$2
shift 2
while [ "$1" != -- ]; do
  mount --bind "$1" "$2" || exit
  shift 2
done
exec unshare --user --map-user="$user" --map-group="$group" "$@"`;

/** A command that sees these mounts, with the same user as without them. */
export function withMounts(
  mounts: readonly Mount[],
  command: readonly string[],
): readonly [string, readonly string[]] {
  const ids = [process.getuid?.() ?? 0, process.getgid?.() ?? 0].map(String);
  const shell = ['sh', '-c', enter, 'sh', ...ids, ...mounts.flat(), '--', ...command];
  return ['unshare', ['--map-root-user', '--mount', '--', ...shell]];
}

export async function mayMount(): Promise<boolean> {
  return (await run(...withMounts([['/etc', '/etc']], ['true']))).code === 0;
}

/** The files in /etc without which programs do not know users and hosts. */
const needed = ['passwd', 'group', 'nsswitch.conf', 'hosts', 'ld.so.cache'];

/** A folder that can stand in the place of /etc; `etc/pitrtools` is empty. */
export function makeEtc(folder: string): string {
  mkdirSync(join(folder, 'pitrtools'), { recursive: true, mode: 0o755 });
  for (const name of needed)
    if (existsSync(join('/etc', name))) copyFileSync(join('/etc', name), join(folder, name));
  return folder;
}
