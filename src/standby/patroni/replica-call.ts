/**
 * The call of a replica method by Patroni: the command of patroni.yml, split without a shell, then `--KEY=VALUE` for each
 * key of its section, then scope, role, datadir and connstring. The values are Python's: `True`, `False`.
 */
import { readPath } from '../../config/path-values.ts';
import { usageError } from '../../errors.ts';
import { type HostAddress, parseAddress } from '../../host-address.ts';
import { parseConninfo } from '../../postgres/conninfo.ts';
import { quoted } from '../../system/printable.ts';

export const replicaWord = '--patroni-replica';

/** Keys of the section that Patroni itself reads; it passes them on all the same. */
const keysOfPatroni = ['keep_data', 'no_leader', 'no_master', 'no_params'];
const keys = [...keysOfPatroni, 'scope', 'role', 'datadir', 'connstring', 'verify'];

/** The server that is to be copied, and where the copy belongs. */
export interface ReplicaCall {
  readonly datadir: string;
  /** Undefined if the cluster has no leader (with `no_leader`). */
  readonly source: HostAddress | undefined;
  /** `verify: true` in the section: check every page of the copy. */
  readonly verify: boolean;
}

const hint =
  'In patroni.yml, the method ends with --patroni-replica, and Patroni appends the rest: see doc/patroni.md.';

function sourceOf(connstring: string): HostAddress | undefined {
  if (connstring.trim() === '') return undefined;
  const values = parseConninfo(connstring);
  const host = values?.get('host') ?? values?.get('hostaddr');
  const port = values?.get('port');
  const address = host === undefined ? undefined : parseAddress(host.includes(':') ? `[${host}]` : host);
  const isPort =
    port === undefined || (/^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65_535);
  // Several hosts in one string: which of them is the leader, only libpq would find out.
  if (address !== undefined && isPort && !host?.includes(','))
    return { host: address.host, port: port === undefined ? undefined : Number(port) };
  throw usageError(`--connstring "${quoted(connstring, 200)}" does not name one host and its port`, hint);
}

function flagOf(key: string, text: string | undefined): boolean {
  if (text === undefined || /^(false|no|off|0)$/i.test(text)) return false;
  if (/^(true|yes|on|1)$/i.test(text)) return true;
  throw usageError(`${key}: "${quoted(text, 40)}" is neither true nor false`, hint);
}

function callOf(values: ReadonlyMap<string, string>): ReplicaCall {
  const role = values.get('role');
  if (role !== undefined && role !== 'replica')
    throw usageError(`--role "${quoted(role, 40)}" is not replica`, hint);
  const [datadir, connstring] = [values.get('datadir'), values.get('connstring')];
  if (datadir === undefined || connstring === undefined)
    throw usageError(
      `--patroni-replica needs --datadir and --connstring (no_params is not for this method)`,
      hint,
    );
  const path = readPath(datadir);
  if (path.kind === 'problems') throw usageError(`--datadir ${path.messages.join('; ')}`, hint);
  return {
    datadir: path.value,
    source: sourceOf(connstring),
    verify: flagOf('verify', values.get('verify')),
  };
}

export interface SplitCall {
  /** The words that are not Patroni's. */
  readonly argv: readonly string[];
  /** Throws a usage error. For `--help`, Patroni's words are not there and not needed. */
  readonly call: () => ReplicaCall;
}

/** Undefined for any other call. Words that neither Patroni nor we know are left in `argv`, where they are refused. */
export function readReplicaCall(argv: readonly string[]): SplitCall | undefined {
  if (!argv.includes(replicaWord)) return undefined;
  const values = new Map<string, string>();
  const rest: string[] = [];
  for (const word of argv) {
    const [, key = '', value = ''] = /^--([a-z_]+)=(.*)$/s.exec(word) ?? [];
    if (keys.includes(key)) values.set(key, value);
    else rest.push(word);
  }
  return { argv: rest, call: () => callOf(values) };
}
