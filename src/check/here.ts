/** The same questions to this host as to another one. */
import { type CommandLine, type RunCommand, succeeded } from '../system/command.ts';
import { withFoundProgram } from '../system/find-program.ts';
import type { Verdict } from './check.ts';
import { judgeLinks, linksScript } from './links.ts';

const limitMs = 10_000;

async function linesOf(run: RunCommand, command: CommandLine): Promise<readonly string[]> {
  const result = await run(command, { limitMs });
  return succeeded(result) ? result.stdout.split('\n') : [];
}

export async function linksHere(run: RunCommand, name: string, path: string): Promise<Verdict> {
  const lines = await linesOf(run, { program: '/bin/sh', args: ['-c', linksScript(path)] });
  return judgeLinks(name, path, lines);
}

/** The first line with which rsync here says its version; empty if it does not. */
export async function askRsync(
  run: RunCommand,
  rsync: CommandLine,
  includePath: readonly string[],
): Promise<string> {
  // As every copy finds it.
  const { program, args } = await withFoundProgram(rsync, includePath);
  const [line = ''] = await linesOf(run, { program, args: [...args, '--version'] });
  return line;
}
