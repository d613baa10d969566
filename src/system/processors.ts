/** The processors on which Linux lets a process run (proc(5), "Cpus_allowed_list"; taskset(1)). */
import { readFile } from 'node:fs/promises';
import type { CommandLine } from './command.ts';

/** Reads a list such as `0-3,8`. */
function parseList(text: string): readonly number[] {
  return text
    .trim()
    .split(',')
    .flatMap((part) => {
      const [, first, last = first] = /^(\d+)(?:-(\d+))?$/.exec(part) ?? [];
      if (first === undefined) return [];
      const count = Number(last) - Number(first) + 1;
      return Array.from({ length: Math.max(0, count) }, (_, index) => Number(first) + index);
    });
}

/** Empty if the kernel does not say it, or if the process has ended. */
export async function allowedProcessors(pid: number): Promise<readonly number[]> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return parseList(/^Cpus_allowed_list:\s*(.*)$/m.exec(text)?.[1] ?? '');
}

/** The last ones, at least one: the first processor often serves the interrupts of the disks and of the network. */
export function halfOf(processors: readonly number[]): readonly number[] {
  return processors.slice(Math.floor(processors.length / 2));
}

/** Keeps a process, all its threads, and what it starts from now on, to these processors. */
export function keepTo(pid: number, processors: readonly number[]): CommandLine {
  return { program: 'taskset', args: ['-a', '-c', '-p', processors.join(','), String(pid)] };
}
