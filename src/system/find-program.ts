import { access, constants, stat } from 'node:fs/promises';
import { delimiter, isAbsolute, join } from 'node:path';
import { PitrError } from '../errors.ts';
import type { CommandLine } from './command.ts';

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

/** The full path of a program: as given if it contains a slash, otherwise from `includepath`, otherwise from PATH. */
export async function findProgram(
  program: string,
  includePath: readonly string[],
  path = process.env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin',
): Promise<string | undefined> {
  const places = isAbsolute(program)
    ? [program]
    : [...includePath, ...path.split(delimiter)].filter(Boolean).map((folder) => join(folder, program));
  for (const place of places) if (await isExecutable(place)) return place;
  return undefined;
}

/** The same for a script, where it is the shell that says if there is no such program. */
export async function withFoundProgram(
  command: CommandLine,
  includePath: readonly string[],
): Promise<CommandLine> {
  return { ...command, program: (await findProgram(command.program, includePath)) ?? command.program };
}

/** The command with the path of its program, or an error that names the INI key. */
export async function requireProgram(
  key: string,
  command: CommandLine,
  includePath: readonly string[],
): Promise<CommandLine> {
  const program = await findProgram(command.program, includePath);
  if (program !== undefined) return { ...command, program };
  throw new PitrError(`cannot find the program "${command.program}" (key ${key})`, {
    hint: `Install it, or set ${key}: to its path, or includepath: to its directory.`,
  });
}
