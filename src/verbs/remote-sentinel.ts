import { parseSentinel, type Sentinel, sentinelName } from '../system/sentinel.ts';
import { refusalOf, type RemoteShell } from '../system/ssh.ts';
import { archiveWork } from './archive-requests.ts';

/** The sentinel of an archive directory on another host. `lines`: all that was printed, with the time there (`clockOffset`). */
export type RemoteSentinel =
  | { readonly kind: 'read'; readonly sentinel: Sentinel; readonly lines: readonly string[] }
  /** The host answered, and its archive has no sentinel that proves anything. */
  | { readonly kind: 'none'; readonly reason: string }
  | { readonly kind: 'lost'; readonly reason: string };

/** Reads it without changing anything there. `limitMs`: milliseconds until the connection is given up. */
export async function readRemoteSentinel(
  shell: RemoteShell,
  archivedir: string,
  limitMs: number,
): Promise<RemoteSentinel> {
  const read = await shell.run(archiveWork('sentinel', { archivedir }, {}), { limitMs });
  if (read.kind === 'lost') return { kind: 'lost', reason: read.reason };
  const refusal = refusalOf(read);
  // Nothing is known of its archive then.
  if (refusal !== undefined) return { kind: 'lost', reason: refusal };
  const { lines } = read;
  if (lines.includes('no directory'))
    return { kind: 'none', reason: `there is no directory ${archivedir} there` };
  if (lines.includes('no sentinel'))
    return { kind: 'none', reason: `${archivedir} has no ${sentinelName} there` };
  const text = lines.filter((line) => line.startsWith(': ')).map((line) => line.slice(2));
  const sentinel = parseSentinel(text.join('\n'));
  if (sentinel !== undefined) return { kind: 'read', sentinel, lines };
  return { kind: 'none', reason: `${archivedir}/${sentinelName} there names no cluster` };
}
