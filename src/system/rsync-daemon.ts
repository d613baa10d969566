/**
 * Directories of this host that a restricted key may read by rsync, or write to. The other end's rsync is not to be trusted:
 * to a sender that was started as `rsync --server --sender` it may send rules that name files (`merge /etc/passwd`), and it
 * is answered with their contents. We therefore run rsync's own daemon for one connection (rsync(1), "USING RSYNC-DAEMON
 * FEATURES VIA A REMOTE-SHELL CONNECTION"): it confines every path, also those in rules and lists, to its modules.
 */
import { createHash } from 'node:crypto';
import { PitrError } from '../errors.ts';

export interface RsyncModule {
  /** The path by which the other end asks for it. */
  readonly asked: string;
  /** The same directory without symbolic links. */
  readonly path: string;
  readonly access: 'read' | 'write';
}

/** The name of the module for a directory: the other end, too, derives it from the path alone. */
export function moduleName(path: string): string {
  return `at-${createHash('sha256').update(path).digest('hex').slice(0, 32)}`;
}

/** Options that would follow links out of a directory, or change a file of the sender. */
const refusedWhenReading = [
  'copy-links',
  'copy-dirlinks',
  'copy-unsafe-links',
  'copy-devices',
  'remove-source-files',
  'remove-sent-files',
  'delete*',
  'write-devices',
  'log-file*',
];

/** A link that was written could lead anywhere when it is read later. */
const refusedWhenWriting = [
  'links',
  'hard-links',
  'devices',
  'specials',
  'keep-dirlinks',
  'delete*',
  'write-devices',
  'fake-super',
  'backup*',
  'link-dest',
  'log-file*',
  // A file that was stored has a second name here: its bytes must not change any more.
  'inplace',
  'append*',
];

/** rsyncd.conf(5) has no quoting: some paths cannot be written there. */
function confPath(path: string): string {
  if (/^\/[^\p{C}%]*$/u.test(path) && !/(^\s|\s$|\\$)/.test(path)) return path;
  throw new PitrError(`rsync's daemon cannot be given the path ${JSON.stringify(path)}`, {
    hint: 'A restricted key cannot read this directory. Use a path without %, control characters, and blanks at its end, or a key with a shell.',
  });
}

function moduleText({ asked, path, access }: RsyncModule): string {
  const isRead = access === 'read';
  return `[${moduleName(asked)}]
path = ${confPath(path)}
read only = ${isRead ? 'yes' : 'no'}
write only = ${isRead ? 'no' : 'yes'}
refuse options = ${(isRead ? refusedWhenReading : refusedWhenWriting).join(' ')}
`;
}

/** The configuration with these modules alone. */
export function daemonConfiguration(modules: readonly RsyncModule[]): string {
  return `use chroot = no
munge symlinks = no
list = no
reverse lookup = no
log file = /dev/null
max verbosity = 4
${modules.map(moduleText).join('')}`;
}

/** A priority for rsync there, as base-backup/copy/politeness.ts writes it. */
const daemonLine =
  /^((?:nice -n (?:-?\d{1,2}) )?(?:ionice -t (?:-c 3|-c 2 -n [0-7]) )?)rsync --server --daemon \.$/;

/** The words in front of rsync, if this is the line by which an rsync of ours asks for a daemon; else undefined. */
export function readDaemonLine(line: string): readonly string[] | undefined {
  const match = daemonLine.exec(line);
  return match === null ? undefined : (match[1] ?? '').split(' ').filter((word) => word !== '');
}

export function daemonArguments(configuration: string): readonly string[] {
  return ['--server', '--daemon', `--config=${configuration}`, '.'];
}
