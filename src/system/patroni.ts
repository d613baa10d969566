/**
 * Questions to Patroni's REST API. Its answers come from other programs and hosts: each is read into a value, or is no
 * answer.
 */
import type { IncomingMessage } from 'node:http';
import { messageOf } from '../errors.ts';
import { parseAddress } from '../host-address.ts';
import { systemErrorCode } from './durable.ts';
import { checkFields, is } from './json.ts';

/** More than this is no answer of Patroni. */
const longestAnswer = 1024 * 1024;

interface Response {
  readonly status: number;
  readonly body: string;
}

async function bodyOf(response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of response as AsyncIterable<Buffer>) {
    length += part.length;
    if (length > longestAnswer) throw new Error('its answer does not end');
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

/** A connection of its own each time: one that is kept would show a Patroni that was stopped meanwhile as silent. */
async function ask(url: string, limitMs: number): Promise<Response> {
  // Loaded here, because each archive_command loads this file, and nearly none of them asks.
  const { get } = url.startsWith('https:') ? await import('node:https') : await import('node:http');
  const signal = AbortSignal.timeout(limitMs);
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      get(url, { agent: false, signal }, resolve).on('error', reject);
    });
    return { status: response.statusCode ?? 0, body: await bodyOf(response) };
  } catch (error) {
    // An answer that stops half way is ended with other words than one that never begins.
    signal.throwIfAborted();
    throw error;
  }
}

/** Node's words for a certificate of an authority that it does not know: as a rule, the site's own. */
const unknownAuthority =
  /^(DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_(GET_ISSUER|VERIFY)\w*)$/;

function whySilent(error: unknown, limitMs: number): string {
  if (error instanceof Error && error.name === 'TimeoutError')
    return `no answer within ${Math.round(limitMs / 100) / 10} s`;
  return unknownAuthority.test(systemErrorCode(error) ?? '')
    ? `${messageOf(error)} (NODE_EXTRA_CA_CERTS must name the file of its authority: doc/patroni.md)`
    : messageOf(error);
}

export type Leadership =
  /** The Patroni of this host holds the leader's lock, and its time has not run out. */
  { readonly kind: 'leader' } | { readonly kind: 'not-leader'; readonly reason: string };

const statusFields = {
  database_system_identifier: is.optional(is.text),
  patroni: is.object({ version: is.text }),
};

/** Each Patroni names its own version, and its cluster as soon as it has a server. */
interface Status {
  readonly cluster: string | undefined;
}

/** Undefined if it is no status of Patroni: a proxy, or another service at that port, may answer 200 to everything. */
function statusIn(body: string): Status | undefined {
  try {
    return { cluster: checkFields(JSON.parse(body), statusFields).database_system_identifier };
  } catch {
    return undefined;
  }
}

/** Whether this host may act as the primary now. Whatever is not a clear yes is a no. Never fails. */
export async function askLeadership(
  url: string,
  systemIdentifier: string,
  limitMs: number,
): Promise<Leadership> {
  try {
    const { status, body } = await ask(`${url}/primary`, limitMs);
    if (status !== 200)
      return {
        kind: 'not-leader',
        reason: `Patroni here does not hold the leader's lock (it answers ${status})`,
      };
    const found = statusIn(body);
    if (found === undefined)
      return {
        kind: 'not-leader',
        reason: `what answers at ${url} is not Patroni: patroni_url is to be the REST API of this host's own Patroni`,
      };
    const { cluster = systemIdentifier } = found;
    if (cluster === systemIdentifier) return { kind: 'leader' };
    return { kind: 'not-leader', reason: `the Patroni at ${url} runs another cluster (${cluster})` };
  } catch (error) {
    return {
      kind: 'not-leader',
      reason: `Patroni here cannot be asked whether it holds the leader's lock: ${whySilent(error, limitMs)}`,
    };
  }
}

const memberFields = { role: is.text, host: is.optional(is.text), port: is.optional(is.number) };
const clusterFields = { members: is.listOf(is.object(memberFields)) };

interface ServerAddress {
  readonly host: string;
  readonly port: number;
}

function leaderIn(body: string): ServerAddress | undefined {
  const { members } = checkFields(JSON.parse(body), clusterFields);
  const leader = members.find(({ role }) => role === 'leader' || role === 'standby_leader');
  if (leader?.host === undefined) return undefined;
  const { port = 5432 } = leader;
  // A host that is no plain name would be taken for a flag, or for more than one host.
  const address = parseAddress(leader.host.includes(':') ? `[${leader.host}]` : leader.host);
  const isPort = Number.isInteger(port) && port >= 1 && port <= 65_535;
  return address === undefined || !isPort ? undefined : { host: address.host, port };
}

export type FoundLeader =
  ({ readonly kind: 'leader' } & ServerAddress) | { readonly kind: 'unknown'; readonly reason: string };

/** Asks all of them at once which server leads the cluster: the first one that knows it counts. Never fails. */
export async function findLeader(urls: readonly string[], limitMs: number): Promise<FoundLeader> {
  const reasons: string[] = [];
  const asked = urls.map(async (url) => {
    try {
      const { body } = await ask(`${url}/cluster`, limitMs);
      const leader = leaderIn(body);
      if (leader !== undefined) return leader;
      reasons.push(`${url}: it names no leader`);
    } catch (error) {
      reasons.push(`${url}: ${whySilent(error, limitMs)}`);
    }
    throw new Error('no leader');
  });
  try {
    return { kind: 'leader', ...(await Promise.any(asked)) };
  } catch {
    return { kind: 'unknown', reason: reasons.join('; ') };
  }
}
