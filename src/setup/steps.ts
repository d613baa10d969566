/** The steps of --setup: how each is said, and how it is carried out. */
import { readFile, realpath, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { messageOf, PitrError, unreachable } from '../errors.ts';
import { addressText } from '../host-address.ts';
import { makeRoleSql } from '../postgres/standby-role.ts';
import { describeResult, succeeded } from '../system/command.ts';
import { ensureDirectory, writeDurably } from '../system/durable.ts';
import { withLocalSql } from '../system/local-sql.ts';
import { passwordVerifier } from '../system/password-verifier.ts';
import type { ProgramDeps } from '../system/program-deps.ts';
import { withPsql } from '../system/psql.ts';
import { authorizedLine, programFor } from './authorized.ts';
import { authorizeHere, sendKeys } from './authorized-keys.ts';
import type { SetupFacts } from './facts.ts';
import { withHbaLines } from './hba-block.ts';
import type { SetupStep } from './plan-parts.ts';
import { psqlThere } from './primary-there.ts';
import { keyText, type PublicKey } from './public-key.ts';
import { makeKeys, ownTarget, pinHost, tryLogin, usersTarget } from './ssh.ts';

export function sayStep(step: SetupStep): string {
  switch (step.kind) {
    case 'make-keys':
      return `make two keys for this purpose alone, for the archives and for the data of the other hosts: in ${step.directory}`;
    case 'pin-host':
      return `ask ${addressText(step.address)} for its host key, and pin it`;
    case 'authorize':
      return `let these keys in, each for one of our programs alone, in ${step.path}: ${step.keys.map(keyText).join('; ')}`;
    case 'send-keys':
      return `let our keys in, each for one of our programs alone, on ${addressText(step.address)}, which lets us in already: append them to ~/.ssh/authorized_keys there`;
    case 'write-file':
      return `write ${step.path}`;
    case 'write-hba':
      return `put these lines at the top of ${step.path}: ${step.lines.join('; ')}`;
    case 'alter-system':
      return step.statements.join('; ');
    case 'install-helpers':
      return `install the helper functions: ${step.file}`;
    case 'reload':
      return 'have the server read its configuration again';
    case 'make-role':
      return `make the role ${step.role}${step.where === 'here' ? '' : ' on the primary'}, which may only stream`;
    case 'initialize':
      return step.program === 'cmd_archiver'
        ? 'make the queues: cmd_archiver -I'
        : 'make the archive, and mark it: cmd_standby -I';
  }
}

const limitMs = 60_000;

async function sqlHere({ server, me }: SetupFacts, statements: readonly string[]): Promise<void> {
  if (server.kind !== 'seen') throw new PitrError('the server does not answer any more');
  const at = { host: server.socketDirectory, port: server.port, user: me, database: 'postgres' };
  const done = await withLocalSql(at, limitMs, async (sql) => {
    for (const statement of statements) await sql(statement);
  });
  if (done.kind !== 'answered') throw new PitrError('the server refused', { detail: done.reason });
}

async function installHelpers(deps: ProgramDeps, facts: SetupFacts, file: string): Promise<void> {
  const { server, me, programFolder } = facts;
  if (server.kind !== 'seen') throw new PitrError('the server does not answer any more');
  const program = programFolder === undefined ? 'psql' : `${programFolder}/psql`;
  const at = ['-h', server.socketDirectory, '-p', String(server.port), '-U', me, '-d', 'postgres'];
  const args = ['-X', '-q', '-w', '-v', 'ON_ERROR_STOP=1', ...at, '-f', file];
  const result = await deps.run({ program, args }, { limitMs });
  if (!succeeded(result))
    throw new PitrError('cannot install the helper functions', { detail: describeResult(result) });
}

async function makeRole(deps: ProgramDeps, facts: SetupFacts, role: string, where: 'here' | 'primary') {
  const { capabilities, password, server, primary, hosts, places, me } = facts;
  const method = capabilities?.passwordMethod ?? 'md5';
  const verifier = passwordVerifier(method, role, password);
  if (where === 'here') {
    if (server.kind !== 'seen' || server.role === undefined) return;
    await sqlHere(facts, [makeRoleSql(role, verifier)]);
    return;
  }
  const [address] = hosts;
  if (primary.kind !== 'seen' || primary.role === undefined || address === undefined) return;
  const { login } = await tryLogin(deps, ownTarget(places, address, me, 'data'), (shell) =>
    withPsql(shell, psqlThere(primary, me), deps.log, (psql) =>
      psql.query(makeRoleSql(role, verifier), limitMs),
    ),
  );
  if (login.kind !== 'in') throw new PitrError(`the connection to ${address.host} was lost`);
}

/** A file of PostgreSQL keeps its mode, and its other bytes, in whatever encoding they are; a link to it stays one. */
async function writeHba(path: string, lines: readonly string[]): Promise<void> {
  const real = await realpath(path);
  const { mode } = await stat(real);
  const text = await readFile(real, 'latin1');
  await writeDurably(real, Buffer.from(withHbaLines(text, lines), 'latin1'), mode & 0o777);
}

async function pin(deps: ProgramDeps, facts: SetupFacts, step: Extract<SetupStep, { kind: 'pin-host' }>) {
  const { report } = deps;
  const { host } = step.address;
  const { fingerprints, wasKnown } = await pinHost(deps, facts.places, step.address, facts.me);
  for (const line of fingerprints)
    report(`   host key of ${host}, from now on the only one accepted: ${line}`);
  report(
    wasKnown
      ? '   It is the one in your known_hosts.'
      : `   Compare it with what --setup shows on ${host} as its own.`,
  );
}

const linesFor = (facts: SetupFacts, keys: readonly PublicKey[]) =>
  keys.map((key) => ({ key, line: authorizedLine(facts, key) }));

async function send(
  deps: ProgramDeps,
  facts: SetupFacts,
  { address, keys }: Extract<SetupStep, { kind: 'send-keys' }>,
): Promise<void> {
  const target = usersTarget(facts.places, address, facts.me);
  const programs = keys.map((key) => programFor(facts, key).program);
  const sent = await sendKeys(deps, target, linesFor(facts, keys), programs);
  if ('reason' in sent)
    throw new PitrError(`cannot append our keys on ${address.host}`, { detail: sent.reason });
  for (const { comment } of sent.present)
    deps.report(`   ${comment} is there already: its line was not changed`);
  for (const path of sent.open)
    deps.report(`   others can write to ${path} there: sshd may take no key until chmod go-w ${path}`);
}

/** Runs one of our programs to its end; its output is shown. */
export async function runOwn(
  deps: ProgramDeps,
  facts: Pick<SetupFacts, 'programs' | 'places'>,
  program: 'cmd_archiver' | 'cmd_standby',
  args: readonly string[],
): Promise<number> {
  const iniFile = program === 'cmd_archiver' ? facts.places.archiverIni : facts.places.standbyIni;
  const command = { program: facts.programs[program].path, args: ['-C', iniFile, ...args] };
  const result = await deps.run(command, { limitMs: 600_000, signal: deps.signal });
  for (const line of `${result.stdout}\n${result.stderr}`.split('\n'))
    if (line.trim() !== '') deps.report(`   ${line}`);
  if (result.kind === 'exited') return result.code;
  deps.signal.throwIfAborted();
  throw new PitrError(`${program} ${args.join(' ')} did not run to its end`, {
    detail: describeResult(result),
  });
}

async function initialize(deps: ProgramDeps, facts: SetupFacts, program: 'cmd_archiver' | 'cmd_standby') {
  const { force } = facts.request;
  const forceFlags = force === undefined ? [] : [force === true ? '--force' : `--force=${force}`];
  const flags = program === 'cmd_standby' ? forceFlags : [];
  const code = await runOwn(deps, facts, program, ['-I', ...flags]);
  if (code === 0) return;
  throw new PitrError(`${program} -I failed with exit status ${code}: see its messages above`);
}

async function write(step: Extract<SetupStep, { kind: 'write-file' }>): Promise<void> {
  if (!step.isSecret && step.path.endsWith('.conf')) {
    await writeDurably(step.path, step.text, 0o640);
    return;
  }
  await ensureDirectory(dirname(step.path));
  await writeDurably(step.path, step.text, step.isSecret ? 0o600 : 0o640);
}

export async function runStep(deps: ProgramDeps, facts: SetupFacts, step: SetupStep): Promise<void> {
  const { places } = facts;
  switch (step.kind) {
    case 'make-keys':
      return makeKeys(deps.run, places, facts.hostName);
    case 'pin-host':
      return pin(deps, facts, step);
    case 'authorize':
      return authorizeHere(step.path, linesFor(facts, step.keys));
    case 'send-keys':
      return send(deps, facts, step);
    case 'write-file':
      return write(step);
    case 'write-hba':
      return writeHba(step.path, step.lines);
    case 'alter-system':
      return sqlHere(facts, step.statements);
    case 'install-helpers':
      return installHelpers(deps, facts, step.file);
    case 'reload':
      return sqlHere(facts, ['SELECT pg_catalog.pg_reload_conf()']);
    case 'make-role':
      return makeRole(deps, facts, step.role, step.where);
    case 'initialize':
      return initialize(deps, facts, step.program);
    default:
      return unreachable(step);
  }
}

/** The message of a failure, for a list of what is left to do. */
export function failureText(error: unknown): string {
  if (!(error instanceof PitrError)) return messageOf(error);
  return [error.message, error.detail, error.hint].filter((part) => part !== undefined).join('; ');
}
