import { connect } from 'node:net';
import { messageOf } from '../../../errors.ts';
import { systemErrorCode } from '../../../system/durable.ts';
import { lookUp } from '../../../system/look-up.ts';
import { type PortAnswer, strongestAnswer, type Unasked } from './verdict.ts';

export type ProbePort = (
  host: string,
  port: number,
  limitMs: number,
  signal: AbortSignal,
) => Promise<PortAnswer>;

/** SSLRequest (manual, chapter "Message Formats"): answered before authentication, and while the server starts up. */
const sslRequest = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);

/** S: willing to encrypt; N: not; E: an error, from a server that is too old or too busy to answer otherwise. */
const replies = new Set(['S', 'N', 'E'].map((letter) => letter.charCodeAt(0)));

function judge(data: Buffer): PortAnswer {
  const first = data[0];
  if (first !== undefined && replies.has(first)) return { kind: 'postgresql' };
  return { kind: 'held', how: 'answers, but not as PostgreSQL does' };
}

/** Errors of connect that arise before a packet has left: they prove nothing about the primary. */
const ownFaults: Readonly<Record<string, string>> = {
  ENETUNREACH: 'Check the network of this host: it has no route to that address.',
  EADDRNOTAVAIL: 'Check the network of this host: it has no address or no free port to connect from.',
  EACCES: 'Check the firewall and the rights of this user: this host forbids the connection.',
  EPERM: 'Check the firewall of this host: it forbids the connection.',
  EMFILE: 'Check the limit of open files of this user.',
  ENFILE: 'Check the limit of open files of this host.',
  ENOBUFS: 'Check the memory of this host.',
  ENOMEM: 'Check the memory of this host.',
};

/** @param wasAccepted the connection had been established before */
function readError(error: unknown, address: string, wasAccepted: boolean): PortAnswer {
  const reason = messageOf(error);
  const code = systemErrorCode(error);
  if (wasAccepted) return { kind: 'held', how: 'closes them without an answer' };
  const check = ownFaults[code ?? ''];
  if (check !== undefined) return { kind: 'unasked', reason, check };
  if (code === 'EHOSTUNREACH') return { kind: 'no-route', reason, address };
  return { kind: 'none', reason, timedOutAt: code === 'ETIMEDOUT' ? address : undefined };
}

const notWaitedFor: PortAnswer = { kind: 'none', reason: 'not waited for' };

/** Asks one address once, within the limit, whether PostgreSQL answers. */
function askAddress(
  address: string,
  port: number,
  limitMs: number,
  signal: AbortSignal,
): Promise<PortAnswer> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port });
    let connected = false;
    const end = (answer: PortAnswer): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      socket.destroy();
      resolve(answer);
    };
    const silent = (): void => {
      if (connected) end({ kind: 'held', how: 'does not answer' });
      else end({ kind: 'none', reason: `no answer within ${limitMs / 1000} s`, timedOutAt: address });
    };
    const onAbort = (): void => {
      end(notWaitedFor);
    };
    const timer = setTimeout(silent, limitMs);
    signal.addEventListener('abort', onAbort, { once: true });
    socket.on('error', (error) => {
      end(readError(error, address, connected));
    });
    socket.on('close', () => {
      end({ kind: 'held', how: 'closes them without an answer' });
    });
    socket.on('data', (data) => {
      end(judge(data));
    });
    socket.on('connect', () => {
      connected = true;
      socket.write(sslRequest);
    });
  });
}

function unresolved(host: string, reason: string): Unasked {
  const check = `Check master_public_ip:, and how this host resolves names: getent hosts ${host}`;
  return { kind: 'unasked', reason: `the name "${host}" does not resolve: ${reason}`, check };
}

async function resolveName(host: string, limitMs: number): Promise<readonly string[] | Unasked> {
  return lookUp(host, limitMs).catch((error: unknown) => unresolved(host, messageOf(error)));
}

/**
 * Asks all addresses of a host at once, within the limit, whether PostgreSQL answers. Node's own way through several
 * addresses gives each but the last a quarter of a second: too little to call a server dead.
 */
export const probePort: ProbePort = async (host, port, limitMs, signal) => {
  const addresses = await resolveName(host, limitMs);
  if ('kind' in addresses) return addresses;
  if (signal.aborted) return notWaitedFor;
  const enough = new AbortController();
  const asked = addresses.map(async (address) => {
    const answer = await askAddress(address, port, limitMs, AbortSignal.any([signal, enough.signal]));
    if (answer.kind === 'postgresql') enough.abort();
    return answer;
  });
  return strongestAnswer(await Promise.all(asked)) ?? unresolved(host, 'it has no address');
};
