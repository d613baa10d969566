import { type PitrError, refusal } from '../../../errors.ts';
import { historyName } from '../../../postgres/wal-name.ts';
import { type CommandLine, type CommandResult, describeResult, succeeded } from '../../../system/command.ts';
import type { StandbyDeps } from '../../deps.ts';
import type { ProtocolAccess } from '../primary.ts';

const limitMs = 30_000;

interface Trouble {
  readonly said: RegExp;
  readonly message: (role: string) => string;
  readonly hint: (role: string) => string;
}

/** The server's messages when it does not let a role replicate, and what to do about each. */
const troubles: readonly Trouble[] = [
  {
    said: /pg_hba\.conf/,
    message: (role) => `pg_hba.conf of the primary does not let role "${role}" replicate from here`,
    hint: (role) =>
      `Add a line there and reload the server: host replication ${role} ADDRESS-OF-THIS-HOST/32 scram-sha-256 (before PostgreSQL 10: md5)`,
  },
  {
    said: /superuser or replication role|REPLICATION attribute|permission denied to start WAL sender/,
    message: (role) => `role "${role}" has no right to replicate`,
    hint: (role) => `Run on the primary: ALTER ROLE ${role} REPLICATION`,
  },
  {
    said: /max_wal_senders/,
    message: () => 'the primary has no connection left for replication',
    hint: () => 'Raise max_wal_senders there.',
  },
  {
    said: /password|scram/i,
    message: (role) => `the primary does not accept the password of role "${role}"`,
    hint: () => 'Check repl_db_password:, or .pgpass where the key is left out.',
  },
];

export function explainRefusal(
  { role, host, port }: Pick<ProtocolAccess, 'role' | 'host' | 'port'>,
  result: CommandResult,
): PitrError {
  const trouble = troubles.find(({ said }) => said.test(result.stderr));
  const message = trouble?.message(role) ?? `cannot replicate from ${host}:${port} as role "${role}"`;
  const hint =
    trouble?.hint(role) ?? 'Check master_public_ip:, port:, repl_db_user: and the pg_hba.conf there.';
  return refusal(message, { detail: describeResult(result), hint });
}

/** The primary's own answer over the protocol that pg_basebackup speaks. */
export interface Identity {
  /** Decimal. */
  readonly systemIdentifier: string;
  readonly timeline: number;
}

/** One command of the replication protocol. */
function ask(
  deps: StandbyDeps,
  psql: CommandLine,
  { host, port, role, env }: ProtocolAccess,
  command: string,
): Promise<CommandResult> {
  const place = ['-h', host, '-p', String(port), '-U', role, '-d', 'replication=true'];
  const args = [...psql.args, '-X', '-A', '-t', '-w', '-F', ' ', ...place, '-c', command];
  return deps.run({ program: psql.program, args }, { limitMs, env, signal: deps.signal });
}

/** The text of a timeline's history file, which the server itself sends (from 9.3). */
export async function historyFromPrimary(
  deps: StandbyDeps,
  psql: CommandLine,
  access: ProtocolAccess,
  timeline: number,
): Promise<string> {
  const result = await ask(deps, psql, access, `TIMELINE_HISTORY ${timeline}`);
  const name = `${historyName(timeline).text} `;
  if (!succeeded(result) || !result.stdout.startsWith(name)) throw explainRefusal(access, result);
  return result.stdout.slice(name.length);
}

/** Asks over the very protocol that pg_basebackup will use: a missing right is found before anything is begun. */
export async function identifyPrimary(
  deps: StandbyDeps,
  psql: CommandLine,
  access: ProtocolAccess,
): Promise<Identity> {
  const result = await ask(deps, psql, access, 'IDENTIFY_SYSTEM');
  const match = /^(\d+) (\d+) /.exec(result.stdout);
  if (!succeeded(result) || match === null) throw explainRefusal(access, result);
  return { systemIdentifier: match[1] ?? '', timeline: Number(match[2]) };
}
