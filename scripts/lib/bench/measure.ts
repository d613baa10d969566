import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { familyOf, processTable, readProc } from '../../../test/harness/process-table.ts';
import { mustRun } from '../../../test/harness/processes.ts';

/** The costs of a run beside its time; undefined if they cannot be measured on this machine. */
export interface Usage {
  /** Processor seconds of all processes of the run, including ended ones, without our own. */
  readonly cpuSeconds: number | undefined;
  /** The largest sum, sampled every 100 ms, of the private memory of all processes except PostgreSQL's and our own. */
  readonly peakMemoryMb: number | undefined;
}

export interface Meter {
  stop(): Usage;
}

const everyMs = 100;
const ticksPerSecond = 100;

/** The way in which processor time is measured, for the report. */
export function cpuMethod(): string {
  if (process.env['PITRTOOLS_BENCH_CPU'] !== undefined) return 'control group of the run';
  return isAlone() ? 'sum over /proc of living processes and the children that they reaped' : 'not measured';
}

export function startMeter(): Meter {
  const before = cpuSeconds();
  let peak = privateMb();
  const timer = setInterval(() => {
    peak = Math.max(peak, privateMb());
  }, everyMs);
  return {
    stop: () => {
      clearInterval(timer);
      const after = cpuSeconds();
      return {
        cpuSeconds: before === undefined || after === undefined ? undefined : after - before,
        peakMemoryMb: isAlone() ? Math.max(peak, privateMb()) : undefined,
      };
    },
  };
}

function cpuSeconds(): number | undefined {
  const file = process.env['PITRTOOLS_BENCH_CPU'];
  const total = file === undefined ? secondsInProc() : secondsOfGroup(file);
  const own = process.cpuUsage();
  return total === undefined ? undefined : total - (own.user + own.system) / 1e6;
}

/** `cpuacct.usage` holds nanoseconds, `cpu.stat` a line of microseconds. */
function secondsOfGroup(file: string): number {
  const text = readFileSync(file, 'utf8');
  const stat = /^usage_usec (\d+)$/m.exec(text)?.[1];
  return stat === undefined ? Number(text) / 1e9 : Number(stat) / 1e6;
}

/**
 * The time of a process that ends is added to the process that reaps it, and finally to the first process of our
 * namespace. The sum over all processes therefore misses only children whose parent ignores their end.
 */
function secondsInProc(): number | undefined {
  if (!isAlone()) return undefined;
  return pids().reduce((sum, pid) => sum + ticksOf(pid), 0) / ticksPerSecond;
}

function ticksOf(pid: number): number {
  const stat = readProc(pid, 'stat');
  // The fields after the name: state is the third field of proc(5), utime to cstime are the 14th to 17th.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
}

/**
 * Processor seconds of these processes and of everything below them, including what has ended: for a tree in which every
 * process waits for its children, as those of sshd do.
 */
export function secondsOfFamilies(roots: readonly number[]): number {
  const table = processTable();
  const family = new Set(roots.flatMap((root) => familyOf(root, table)).map(({ pid }) => pid));
  return [...family].reduce((sum, pid) => sum + ticksOf(pid), 0) / ticksPerSecond;
}

function privateMb(): number {
  if (!isAlone()) return 0;
  const others = pids().filter((pid) => pid !== 1 && pid !== process.pid);
  return others.reduce((sum, pid) => sum + privateKb(pid), 0) / 1024;
}

function privateKb(pid: number): number {
  const status = readProc(pid, 'status');
  if (/^Name:\tpostgres$/m.test(status)) return 0;
  return Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0);
}

/** The highest memory use of a process, in MB. */
export function highWaterMb(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readProc(pid, 'status'))?.[1] ?? NaN) / 1024;
}

function pids(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

let alone: boolean | undefined;

/** In a process namespace of our own, every process in /proc is part of the run. */
function isAlone(): boolean {
  alone ??= readProc(1, 'cmdline').includes('inside-sandbox');
  return alone;
}

/** Seconds from `start` until the answer is yes. Asks often, because the measured time is short. */
export async function secondsUntil(start: number, ask: () => boolean, what: string): Promise<number> {
  const limitMs = 900_000;
  for (;;) {
    if (ask()) return (performance.now() - start) / 1000;
    if (performance.now() - start > limitMs)
      throw new Error(`not within ${String(limitMs / 1000)} s: ${what}`);
    await delay(5);
  }
}

/**
 * A virtual machine may have given idle memory back to its host. Getting it again would make the next writer many times
 * slower. If the memory is allocated and freed before the run, it is available to every measured tool.
 */
export async function touchMemory(directory: string, megabytes: number): Promise<void> {
  const path = join(directory, 'touched');
  const limitMs = 600_000;
  const count = Math.ceil(megabytes);
  await mustRun('dd', ['if=/dev/zero', `of=${path}`, 'bs=1M', `count=${String(count)}`, 'status=none'], {
    limitMs,
  });
  rmSync(path);
  await mustRun('sync', ['-f', directory], { limitMs });
}
