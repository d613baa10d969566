/**
 * The cipher of a connection over which much is sent. ssh prefers ChaCha20-Poly1305 by itself; where the processor has
 * instructions for AES, AES-GCM takes a fraction of its time.
 */
import { open } from 'node:fs/promises';
import type { CommandLine, StartSession } from './command.ts';

const fastCipher = 'aes128-gcm@openssh.com';
const slowCipher = 'chacha20-poly1305@openssh.com';

/** ssh asks nobody here, unless its configuration has commands of its own. */
const limitMs = 2_000;

/** The list by which this call of `ssh -G` would offer ciphers; undefined if it does not say. */
async function ciphersBy(startSession: StartSession, command: CommandLine): Promise<string | undefined> {
  let ciphers: string | undefined;
  const session = startSession(command, {
    onLine: (line) => {
      ciphers ??= /^ciphers (\S+)$/.exec(line)?.[1];
    },
  });
  const timer = setTimeout(session.kill, limitMs);
  session.close();
  const result = await session.ended;
  clearTimeout(timer);
  return result.kind === 'exited' && result.code === 0 ? ciphers : undefined;
}

const cpuinfo = '/proc/cpuinfo';
/** The description of the first processor. */
const cpuinfoBytes = 16 * 1024;

async function hasAesInstructions(): Promise<boolean> {
  try {
    const handle = await open(cpuinfo, 'r');
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(cpuinfoBytes), 0, cpuinfoBytes, 0);
      return /^(?:flags|Features)\s*:.*\baes\b/m.test(buffer.toString('latin1', 0, bytesRead));
    } finally {
      await handle.close();
    }
  } catch {
    return false;
  }
}

/** The same ciphers in another order; undefined if the order is not the one that this concerns. */
export function withFastCipherFirst(ciphers: string): string | undefined {
  const list = ciphers.split(',');
  if (list[0] !== slowCipher || !list.includes(fastCipher)) return undefined;
  return [fastCipher, ...list.filter((cipher) => cipher !== fastCipher)].join(',');
}

/**
 * Options of ssh that prefer the fast cipher. None where the user or the system has configured ciphers in any way: only
 * ssh's own list is taken in another order, and the other end still has to agree.
 *
 * @param configured prints the configuration of the connection (`ssh -G`)
 * @param builtIn the same without any configuration file (`-F none`)
 */
export async function cipherOptions(
  startSession: StartSession,
  { configured, builtIn }: { readonly configured: CommandLine; readonly builtIn: CommandLine },
  hasAes = hasAesInstructions,
): Promise<readonly string[]> {
  if (!(await hasAes())) return [];
  const [present, own] = await Promise.all(
    [configured, builtIn].map((each) => ciphersBy(startSession, each)),
  );
  if (present === undefined || present !== own) return [];
  const ciphers = withFastCipherFirst(present);
  return ciphers === undefined ? [] : [`Ciphers=${ciphers}`];
}
