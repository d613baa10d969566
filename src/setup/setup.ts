/**
 * `--setup` of both programs: looks at this host and at the others, carries out the steps that need nobody, and shows the
 * commands for the rest. It looks again after each round of steps, so that a run that was killed, or a change by hand,
 * needs no record. Nothing waits for a person.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { exitCodes, PitrError, refusal } from '../errors.ts';
import { ensureDirectory, exists, requireMakeable, requireOwnDirectory } from '../system/durable.ts';
import { takeLock } from '../system/lock.ts';
import { newPassword } from '../system/password-verifier.ts';
import type { ProgramDeps } from '../system/program-deps.ts';
import { callOf, hostFlags, typedWord } from './commands.ts';
import type { SetupFacts } from './facts.ts';
import { observe } from './observe.ts';
import { isPlainPath, type Places, placesOf } from './places.ts';
import { planSetup } from './plan.ts';
import type { Plan, SetupStep, Todo } from './plan-parts.ts';
import type { SetupRequest } from './request.ts';
import { sayServices } from './services.ts';
import { fingerprintsOf } from './ssh.ts';
import { failureText, runOwn, runStep, sayStep } from './steps.ts';

/** Each round brings facts that the one before could not see: the key, the login, the other host, the archive. */
const mostRounds = 8;

async function requireUsableDirectory({ directory, ssh }: Places): Promise<void> {
  if (!isPlainPath(ssh))
    throw refusal(
      `the path ${ssh} holds a blank or another character that ssh would take for something else`,
      {
        hint: 'Choose another folder by -C.',
      },
    );
  if (!(await exists(directory))) return requireMakeable(directory);
  return requireOwnDirectory(directory);
}

function title({ cluster, server, request, hostName }: SetupFacts): string {
  const name =
    cluster.debianName === undefined ? cluster.pgdata : `${cluster.debianName} (${cluster.pgdata})`;
  const state =
    server.kind === 'seen'
      ? `its server runs on port ${server.port}`
      : server.kind === 'stopped'
        ? 'its server does not run'
        : 'its server cannot be asked';
  const role = request.role === 'primary' ? 'the primary' : 'a standby';
  return `${hostName} is to be ${role}: cluster ${name}, PostgreSQL ${cluster.major ?? '(not known yet)'}; ${state}`;
}

async function sayOwnHostKeys({ run, report, hostName }: ProgramDeps): Promise<void> {
  const names = await readdir('/etc/ssh').catch(() => []);
  for (const name of names.filter((one) => /^ssh_host_\w+_key\.pub$/.test(one)).sort())
    for (const line of await fingerprintsOf(run, join('/etc/ssh', name)))
      report(`   host key of ${hostName} itself: ${line}`);
}

function sayTodos({ report }: ProgramDeps, todos: readonly Todo[], again: string): void {
  report('');
  report('Not finished. This is left to do:');
  for (const { where, why, lines } of todos) {
    report(`- ${where}: ${why}`);
    for (const line of lines) report(`      ${line}`);
  }
  report(`Then run this again: ${again}`);
}

type Failed = ReadonlyMap<string, string>;

const idOf = (step: SetupStep): string => JSON.stringify(step);

/** A step that needs nothing of a failed one is carried out all the same. */
async function carryOut(
  deps: ProgramDeps,
  facts: SetupFacts,
  steps: readonly SetupStep[],
  done: Set<string>,
): Promise<Failed> {
  const failed = new Map<string, string>();
  for (const step of steps) {
    deps.signal.throwIfAborted();
    deps.report(`${done.size + 1}. ${sayStep(step)}`);
    done.add(idOf(step));
    try {
      await runStep(deps, facts, step);
    } catch (error) {
      deps.signal.throwIfAborted();
      if (!(error instanceof PitrError)) throw error;
      failed.set(idOf(step), failureText(error));
    }
  }
  return failed;
}

interface Outcome {
  readonly facts: SetupFacts;
  readonly plan: Plan;
  readonly failures: readonly Todo[];
}

async function look(deps: ProgramDeps, request: SetupRequest, password: string): Promise<SetupFacts> {
  const facts = await observe(deps, request, password);
  if (facts !== undefined) return facts;
  throw refusal(
    'there is no cluster on this host: neither in /etc/postgresql nor where PGDG has it, and no server runs',
    {
      hint:
        request.role === 'primary'
          ? 'Make one, or name its data directory by --cluster DIRECTORY.'
          : 'Name the data directory that this standby is to have by --cluster DIRECTORY.',
    },
  );
}

/** @returns the facts and the plan of the last look: nothing in it is left for us to do */
async function converge(deps: ProgramDeps, first: SetupFacts): Promise<Outcome> {
  const done = new Set<string>();
  const failures: Todo[] = [];
  let isSaid = false;
  for (let [round, facts] = [1, first]; ; round += 1) {
    const plan = planSetup(facts);
    // A step without the effect that the next look expects is not repeated.
    const next = plan.steps.filter((step) => !done.has(idOf(step)));
    if (next.length === 0 || round === mostRounds) return { facts, plan, failures };
    if (!isSaid && next.some(({ kind }) => kind === 'make-keys' || kind === 'pin-host')) {
      await sayOwnHostKeys(deps);
      isSaid = true;
    }
    const failed = await carryOut(deps, facts, next, done);
    failures.push(...[...failed.values()].map((why): Todo => ({ where: 'here', why, lines: [] })));
    facts = await look(deps, first.request, first.password);
  }
}

function showPlan(deps: ProgramDeps, facts: SetupFacts, plan: Plan): number {
  const { report } = deps;
  plan.steps.forEach((step, index) => {
    report(`${index + 1}. ${sayStep(step)}`);
    if (step.kind === 'write-file') for (const line of shownText(step)) report(`      ${line}`);
  });
  for (const note of plan.notes) report(`note: ${note}`);
  if (plan.steps.length > 0) report('Further steps may follow, once it is seen what these have brought.');
  if (plan.todos.length > 0) sayTodos(deps, plan.todos, againText(facts));
  report('Dry run: nothing was changed.');
  return 0;
}

function shownText({ text }: { readonly text: string }): readonly string[] {
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.replace(/^(repl_db_password: ).*/, '$1…'));
}

/** The call that continues: until the INI file is there, it names the other hosts, the cluster and the archive. */
export function againText({ request, places, texts, hosts, programs }: AgainFacts): string {
  const [program, iniFile] =
    request.role === 'primary'
      ? (['cmd_archiver', places.archiverIni] as const)
      : (['cmd_standby', places.standbyIni] as const);
  const named = request.role === 'primary' ? hosts : hosts.slice(0, 1);
  const { cluster, archive, force } = request;
  const flags = [
    ...(texts.has(iniFile)
      ? []
      : [
          hostFlags(request.role, named),
          ...(cluster === undefined ? [] : [`--cluster ${typedWord(cluster)}`]),
          ...(archive === undefined ? [] : [`--archive ${typedWord(archive)}`]),
        ]),
    ...(request.apply ? ['--apply'] : []),
    ...(force === undefined ? [] : [force === true ? '--force' : `--force=${force}`]),
  ];
  return [callOf({ programs, places }, program), '--setup', ...flags].join(' ');
}

type AgainFacts = Pick<SetupFacts, 'request' | 'places' | 'texts' | 'hosts' | 'programs'>;

/** Only root can enable services: --systemd then does nothing else. */
function servicesTodo(facts: SetupFacts): readonly Todo[] {
  if (!facts.request.systemd) return [];
  return [
    {
      where: 'here, as root',
      why: 'enable the services:',
      lines: [
        `${callOf(facts, facts.request.role === 'primary' ? 'cmd_archiver' : 'cmd_standby')} --setup --systemd`,
      ],
    },
  ];
}

/** A step that was carried out, and whose effect is not seen all the same. */
function noEffect(step: SetupStep): Todo {
  const why = `this had no effect: ${sayStep(step)}`;
  if (step.kind !== 'reload') return { where: 'here', why, lines: [] };
  const sql = 'SELECT name, setting, sourcefile FROM pg_settings WHERE sourcefile IS NOT NULL';
  return { where: 'here', why: `${why}. Another file may override ours; in psql:`, lines: [`${sql};`] };
}

async function finish(deps: ProgramDeps, { facts, plan, failures }: Outcome): Promise<number> {
  const { report } = deps;
  for (const note of plan.notes) report(`note: ${note}`);
  const left = plan.steps.map(noEffect);
  const failedAlready = failures.length > 0 ? [] : left;
  const todos = [...failures, ...failedAlready, ...plan.todos, ...servicesTodo(facts)];
  if (todos.length > 0) {
    sayTodos(deps, todos, againText(facts));
    return exitCodes.unfinished;
  }
  const program = facts.request.role === 'primary' ? 'cmd_archiver' : 'cmd_standby';
  await sayServices(deps, facts);
  report(`All steps are done. ${program} --check:`);
  return runOwn(deps, facts, program, ['--check']);
}

/** @returns the exit status: 0 only if everything is done and --check finds nothing wrong */
export async function setUp(deps: ProgramDeps, request: SetupRequest): Promise<number> {
  const places = placesOf(request.role, request.iniFile);
  await requireUsableDirectory(places);
  const first = await look(deps, request, newPassword());
  deps.report(title(first));
  // A refusal comes before anything is changed.
  const plan = planSetup(first);
  if (request.dryRun) return showPlan(deps, first, plan);
  await ensureDirectory(places.ssh);
  const lock = await takeLock(deps.run, places.lock, 0);
  if (lock === undefined) throw refusal(`another --setup is at work in ${places.directory}`);
  try {
    return await finish(deps, await converge(deps, first));
  } finally {
    await lock.release();
  }
}
