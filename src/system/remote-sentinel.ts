import { clockScript } from './remote-clock.ts';
import { parseSentinel, type Sentinel, sentinelName } from './sentinel.ts';
import { shellQuote } from './shell-quote.ts';
import type { RemoteShell } from './ssh.ts';

/** The sentinel of an archive directory on another host. `lines`: all that was printed, with the time there (`clockOffset`). */
export type RemoteSentinel =
  | { readonly kind: 'read'; readonly sentinel: Sentinel; readonly lines: readonly string[] }
  /** The host answered, and its archive has no sentinel that proves anything. */
  | { readonly kind: 'none'; readonly reason: string }
  | { readonly kind: 'lost'; readonly reason: string };

const sentinelBytes = 64 * 1024;

/** Each line of the sentinel begins with a mark, so that it is found among other output. */
function sentinelScript(archivedir: string): string {
  return `LC_ALL=C; export LC_ALL
${clockScript}
cd ${shellQuote(archivedir)} 2>/dev/null || { echo 'no directory'; exit 0; }
[ -f ${sentinelName} ] || { echo 'no sentinel'; exit 0; }
head -c ${sentinelBytes} ${sentinelName} | sed 's/^/: /'`;
}

/** Reads it without changing anything there. `limitMs`: milliseconds until the connection is given up. */
export async function readRemoteSentinel(
  shell: RemoteShell,
  archivedir: string,
  limitMs: number,
): Promise<RemoteSentinel> {
  const read = await shell.run(sentinelScript(archivedir), { limitMs });
  if (read.kind === 'lost') return { kind: 'lost', reason: read.reason };
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
