import { PitrError } from '../../errors.ts';
import { quoted } from '../../system/printable.ts';
import { shellQuote } from '../../system/shell-quote.ts';
import type { RemoteShell } from '../../system/ssh.ts';

const limitMs = 30_000;
/** The message for the answers of od or the shell. */
const spareBytes = 64 * 1024;

export function lostConnection({ target }: RemoteShell, reason: string): PitrError {
  return new PitrError(`lost the connection to ${target.what} ${target.host}`, { detail: reason });
}

/** Runs a short script on the primary's host. The caller judges its status; a lost connection is an error. */
export async function runRemotely(
  shell: RemoteShell,
  script: string,
  maxOutputBytes?: number,
): Promise<{ readonly status: number; readonly lines: readonly string[] }> {
  const result = await shell.run(script, { limitMs, maxOutputBytes });
  if (result.kind === 'done') return result;
  throw lostConnection(shell, result.reason);
}

/**
 * The bytes of a small file on the primary's host. They are transferred in hexadecimal: a file may contain anything,
 * even our own marker.
 */
export async function readRemoteFile(shell: RemoteShell, path: string, maxBytes: number): Promise<Buffer> {
  const script = `od -An -v -tx1 -N${maxBytes} ${shellQuote(path)} 2>&1`;
  const { status, lines } = await runRemotely(shell, script, 5 * maxBytes + spareBytes);
  const digits = lines.join('').replaceAll(/\s/g, '');
  if (status === 0 && !/[^\da-f]/i.test(digits) && digits.length <= 2 * maxBytes)
    return Buffer.from(digits, 'hex');
  throw new PitrError(`cannot read "${path}" on ${shell.target.what} ${shell.target.host}`, {
    detail: quoted(lines.join('; ')),
    hint: `The user ${shell.target.user} must be able to read the data directory there.`,
  });
}

export async function isRemoteFile(shell: RemoteShell, path: string): Promise<boolean> {
  return (await runRemotely(shell, `test -f ${shellQuote(path)}`)).status === 0;
}
