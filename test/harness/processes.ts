import { type ChildProcess, spawn } from 'node:child_process';
import { eventually } from './eventually.ts';
import { familyOf, type ProcessEntry, processesOf } from './process-table.ts';

export interface StartOptions {
  readonly cwd?: string | undefined;
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** Given to the process as its standard input; without it the input is /dev/null. */
  readonly stdin?: string | Buffer | undefined;
  /** The whole process group is killed after this time and `timedOut` is set; 120 s by default. */
  readonly limitMs?: number | undefined;
}

export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
  readonly timedOut: boolean;
}

export interface Running {
  readonly pid: number;
  readonly finished: Promise<Finished>;
  /** What it has printed so far on both streams. */
  output(): string;
  /** Sends a signal to the process alone. */
  signal(name: NodeJS.Signals): void;
  /** SIGKILL to the process and everything below it. */
  killFamily(): void;
}

const groups = new Set<number>();
const directories = new Set<string>();

/** A net for runs that end without `world.close()`: whatever belongs to the directory dies with this process. */
export function endWithUs(directory: string): () => void {
  if (!process.listeners('exit').includes(killEverything)) process.once('exit', killEverything);
  directories.add(directory);
  return () => directories.delete(directory);
}

/** Starts a command in a process group of its own. */
export function start(command: string, args: readonly string[], options: StartOptions = {}): Running {
  const began = performance.now();
  const child = spawn(...inItsNetwork(command, args, options.env), {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: [options.stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    detached: true,
  });
  const printed = collect(child);
  child.stdin?.on('error', () => undefined).end(options.stdin);
  const pid = child.pid ?? 0;
  return {
    pid,
    finished: finish(child, printed, began, options.limitMs ?? 300_000),
    output: () => printed.stdout + printed.stderr,
    signal: (name) => child.kill(name),
    killFamily: () => {
      killAll(stoppedFamily(pid));
    },
  };
}

/** A host of a world may have a network of its own (host-networks.ts). There the command has this user's number again. */
function inItsNetwork(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): [string, readonly string[]] {
  const [network, user, root] = env['PITRTOOLS_TEST_NETWORK']?.split(' ') ?? [];
  if (network === undefined || user === undefined) return [command, args];
  const own = root === undefined ? [] : ['--mount', '--uts'];
  const enter = (target: string, ...kinds: readonly string[]) => [
    ...['nsenter', '--preserve-credentials', '--target', target, ...kinds, '--'],
  ];
  const [program, ...there] = [...enter(network, '--user', '--net', ...own), ...enter(user, '--user')];
  return [program ?? '', [...there, command, ...args]];
}

/** Runs a command to its end. */
export async function run(
  command: string,
  args: readonly string[],
  options: StartOptions = {},
): Promise<Finished> {
  return start(command, args, options).finished;
}

/** Runs a command that must exit 0 and returns what it printed. */
export async function mustRun(
  command: string,
  args: readonly string[],
  options: StartOptions = {},
): Promise<string> {
  const result = await run(command, args, options);
  if (result.code === 0) return result.stdout;
  const end = result.timedOut ? 'ran into its limit' : `exited ${String(result.code ?? result.signal)}`;
  throw new Error(`${[command, ...args].join(' ')} ${end}\n${result.stdout}${result.stderr}`);
}

/** SIGKILL for processes that may already have ended. */
export function killAll(entries: readonly ProcessEntry[], signal: NodeJS.Signals = 'SIGKILL'): void {
  for (const { pid } of entries) sendSignal(pid, signal);
}

/** `root` and all below it, none of which can start another one any more: whom the list lacked would live on. */
export function stoppedFamily(root: number): ProcessEntry[] {
  const stopped = new Set<number>();
  for (;;) {
    const family = familyOf(root);
    const others = family.filter(({ pid }) => !stopped.has(pid));
    if (others.length === 0) return family;
    killAll(others, 'SIGSTOP');
    for (const { pid } of others) stopped.add(pid);
  }
}

export function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended by itself, which is what was wanted.
  }
}

/** Waits until a directory has no process left; the processes that stay beyond the limit are returned. */
export async function lingering(directory: string, limitMs: number): Promise<ProcessEntry[]> {
  try {
    await eventually(() => processesOf(directory).length === 0, { limitMs });
    return [];
  } catch {
    return processesOf(directory);
  }
}

interface Printed {
  stdout: string;
  stderr: string;
}

function collect(child: ChildProcess): Printed {
  const printed: Printed = { stdout: '', stderr: '' };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (printed.stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (printed.stderr += text));
  return printed;
}

/**
 * Resolves when the process itself has ended and its output is read. A daemon that it left behind may hold
 * the pipes open forever: we wait for them only a little longer than for the process.
 */
async function finish(
  child: ChildProcess,
  printed: Printed,
  began: number,
  limitMs: number,
): Promise<Finished> {
  const { pid } = child;
  if (pid !== undefined) groups.add(pid);
  let timedOut = false;
  const limit = setTimeout(() => {
    timedOut = true;
    if (pid !== undefined) sendSignal(-pid, 'SIGKILL');
  }, limitMs);
  try {
    const end = await ended(child);
    return { ...end, ...printed, ms: Math.round(performance.now() - began), timedOut };
  } finally {
    clearTimeout(limit);
    if (pid !== undefined) groups.delete(pid);
  }
}

type End = Pick<Finished, 'code' | 'signal'>;

function ended(child: ChildProcess): Promise<End> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      resolve({ code, signal });
    });
    child.once('exit', (code, signal) => {
      setTimeout(() => {
        child.stdout?.destroy();
        child.stderr?.destroy();
        resolve({ code, signal });
      }, 500).unref();
    });
  });
}

function killEverything(): void {
  for (const group of groups) sendSignal(-group, 'SIGKILL');
  for (const directory of directories) killAll(processesOf(directory));
}
