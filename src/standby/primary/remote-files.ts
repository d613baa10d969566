import { PitrError } from '../../errors.ts';
import { quoted } from '../../system/printable.ts';
import { refusalOf, type RemoteShell, type RemoteWork } from '../../system/ssh.ts';
import { dataWork } from '../../verbs/data-requests.ts';

const limitMs = 30_000;
/** The message for the answers of od or the shell. */
const spareBytes = 64 * 1024;

export function lostConnection({ target }: RemoteShell, reason: string): PitrError {
  return new PitrError(`lost the connection to ${target.what} ${target.host}`, { detail: reason });
}

export function keyRefused({ target }: RemoteShell, reason: string): PitrError {
  return new PitrError(`${target.what} ${target.host} refuses this to the key of this host`, {
    detail: reason,
    hint: 'The key is restricted by command="… --serve" in authorized_keys there; doc/security.md says what such a key can do.',
  });
}

/**
 * Runs a short script on the primary's host. The caller judges its status; a lost connection, and a refusal to
 * this host's key, is an error.
 */
export async function runRemotely(
  shell: RemoteShell,
  work: RemoteWork,
  maxOutputBytes?: number,
): Promise<{ readonly status: number; readonly lines: readonly string[] }> {
  const result = await shell.run(work, { limitMs, maxOutputBytes });
  if (result.kind === 'lost') throw lostConnection(shell, result.reason);
  const refusal = refusalOf(result);
  if (refusal !== undefined) throw keyRefused(shell, refusal);
  return result;
}

/** The file could not be read there; the connection and the key are good. */
export class UnreadableFile extends PitrError {}

/**
 * The bytes of a small file on the primary's host. They are transferred in hexadecimal: a file may contain anything,
 * even our own marker.
 */
export async function readRemoteFile(shell: RemoteShell, path: string, maxBytes: number): Promise<Buffer> {
  const work = dataWork('read-file', { path, bytes: maxBytes });
  const { status, lines } = await runRemotely(shell, work, 5 * maxBytes + spareBytes);
  const digits = lines.join('').replaceAll(/\s/g, '');
  if (status === 0 && !/[^\da-f]/i.test(digits) && digits.length <= 2 * maxBytes)
    return Buffer.from(digits, 'hex');
  throw new UnreadableFile(`cannot read "${path}" on ${shell.target.what} ${shell.target.host}`, {
    detail: quoted(lines.join('; ')),
    hint: `The user ${shell.target.user} must be able to read the data directory there.`,
  });
}

export async function isRemoteFile(shell: RemoteShell, path: string): Promise<boolean> {
  return (await runRemotely(shell, dataWork('is-file', { path }))).status === 0;
}

const longestConfiguration = 16 * 1024 * 1024;

/** `postgresql.conf` or another file beside it, of at most 16 MiB. */
export function readConfigurationFile(shell: RemoteShell, path: string): Promise<Buffer> {
  return readRemoteFile(shell, path, longestConfiguration);
}
