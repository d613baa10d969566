import { connect } from 'node:net';
import { messageOf } from '../../errors.ts';

/** What a TCP port answered to a PostgreSQL client. */
export type PortAnswer =
  /** The first byte of a protocol reply: a server (or a pooler in front of one) is there. */
  | { readonly kind: 'postgresql' }
  | { readonly kind: 'other'; readonly reason: string }
  | { readonly kind: 'none'; readonly reason: string };

export type ProbePort = (
  host: string,
  port: number,
  limitMs: number,
  signal: AbortSignal,
) => Promise<PortAnswer>;

/** SSLRequest (manual, chapter "Message Formats"): answered before authentication, and while the server starts up. */
const sslRequest = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);

/** S: willing to encrypt; N: not; E: an error, from a server too old or too busy to say more. */
const replies = new Set(['S', 'N', 'E'].map((letter) => letter.charCodeAt(0)));

function judge(data: Buffer): PortAnswer {
  const first = data[0];
  if (first !== undefined && replies.has(first)) return { kind: 'postgresql' };
  return { kind: 'other', reason: 'something that is not PostgreSQL answered' };
}

/** Asks once, within the limit, whether PostgreSQL answers at this address. */
export const probePort: ProbePort = (host, port, limitMs, signal) =>
  new Promise((resolve) => {
    const socket = connect({ host, port });
    let connected = false;
    const end = (answer: PortAnswer): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      socket.destroy();
      resolve(answer);
    };
    const silent = (): void => {
      const what = connected ? 'it accepted the connection and said nothing' : 'no answer';
      end({ kind: 'none', reason: `${what} within ${limitMs / 1000} s` });
    };
    const onAbort = (): void => {
      end({ kind: 'none', reason: 'not waited for' });
    };
    const timer = setTimeout(silent, limitMs);
    signal.addEventListener('abort', onAbort, { once: true });
    socket.on('error', (error) => {
      end({ kind: 'none', reason: messageOf(error) });
    });
    socket.on('close', () => {
      end({ kind: 'none', reason: 'it closed the connection without a word' });
    });
    socket.on('data', (data) => {
      end(judge(data));
    });
    socket.on('connect', () => {
      connected = true;
      socket.write(sslRequest);
    });
  });
