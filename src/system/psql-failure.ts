import { PitrError } from '../errors.ts';
import { type CommandLine, type CommandResult, describeResult } from './command.ts';
import type { LocalServer } from './libpq-access.ts';
import type { SshTarget } from './ssh.ts';

/** The host on which psql runs, and what it connects to as seen from there. */
export interface PsqlTarget extends LocalServer {
  readonly psql: CommandLine;
}

/** The way in which psql ended. */
export interface PsqlEnd {
  readonly result: CommandResult;
  /** Undefined if psql runs on this host. */
  readonly over: SshTarget | undefined;
  readonly target: PsqlTarget;
  /** The last statement that psql was given. */
  readonly sql: string;
  /** The server had answered before: the login had succeeded. */
  readonly wasIn: boolean;
}

interface Cause {
  readonly said: RegExp;
  readonly hint: (target: PsqlTarget) => string;
}

/** Messages of libpq and the server about a login that fails. The server's may be in any language. */
const loginCauses: readonly Cause[] = [
  {
    said: /database ".*" does not exist/,
    hint: ({ database }) => `Set dbname: to an existing database, or create "${database}".`,
  },
  {
    said: /role ".*" does not exist/,
    hint: ({ user }) => `Create the role "${user}" there, or set user: to another one.`,
  },
  {
    said: /Connection refused|No such file or directory|could not translate host name|timeout expired|No route to host/,
    hint: () => 'No server answers there: check that it runs, and master_local_ip: and port:.',
  },
  {
    said: /too many clients|connection slots are reserved|too many connections/,
    hint: () => 'The server has no connection left: end one, or raise max_connections.',
  },
  {
    said: /starting up|shutting down|not yet accepting|recovery mode/,
    hint: () => 'Wait until the server takes connections; then run this again.',
  },
  {
    said: /password|authentication|pg_hba\.conf/i,
    hint: () => 'The connection must work there without a password prompt: use .pgpass or pg_hba.conf.',
  },
];

/** Messages of the server about a session that it ends, or a statement that it does not carry out. */
const sessionCauses: readonly Cause[] = [
  {
    said: /permission denied|must be superuser|must be owner/,
    hint: ({ user }) => `Role "${user}" lacks a right there: doc/helper-sql.md has what it needs.`,
  },
  {
    said: /terminating connection|server closed the connection|connection to server was lost|could not receive data|no connection to the server/,
    hint: () =>
      'The server or one of its administrators has ended the session. Read the reason in its log, then run this again.',
  },
];

const elseLogin = ({ psql, host, port, user, database }: PsqlTarget) =>
  `This command must work by hand, without a prompt: ${psql.program} -w -h ${host} -p ${port} -U ${user} -d ${database}`;
const elseSession = () => 'The log of the server has the full message.';

/** A hint that fits the failure: it mentions passwords only if the failure is about them. */
function hintFor({ result, target, wasIn }: Pick<PsqlEnd, 'result' | 'target' | 'wasIn'>): string {
  const causes = wasIn ? sessionCauses : loginCauses;
  const cause = causes.find(({ said }) => said.test(result.stderr));
  return (cause?.hint ?? (wasIn ? elseSession : elseLogin))(target);
}

function whereOf({ over, target }: PsqlEnd): string {
  if (over === undefined) return `the primary ${target.host}:${target.port}`;
  return `psql on ${over.what} (${target.user}@${target.host}:${target.port})`;
}

function whatFailed(end: PsqlEnd): string {
  const { over, target, wasIn } = end;
  if (wasIn) return `${whereOf(end)}: the session is over`;
  return over === undefined
    ? `${whereOf(end)} did not let role "${target.user}" in`
    : `${whereOf(end)} failed`;
}

export function psqlFailure(end: PsqlEnd): PitrError {
  const { result, over, target, sql } = end;
  const isMissing = result.kind === 'exited' && (result.code === 127 || result.code === 126);
  const detail = `${describeResult(result)} (while running: ${sql})`;
  if (over === undefined || !isMissing) return new PitrError(whatFailed(end), { detail, hint: hintFor(end) });
  return new PitrError(`cannot run "${target.psql.program}" on ${over.what}`, {
    detail,
    hint: 'Set r_psql: to the path of psql there.',
  });
}
