import { readFile, stat } from 'node:fs/promises';
import { exitCodes, messageOf, PitrError } from '../errors.ts';
import type { LoadedConfig, UsableConfig } from './loaded.ts';
import { describeProblems, type Problem } from './problem.ts';
import type { OtherTable } from './read-options.ts';

/** The settings of an INI file, and its warnings as `FILE:LINE: message`. */
export interface ConfigurationFile<Settings> {
  readonly settings: Settings;
  readonly warnings: readonly string[];
}

/** The functions by which one program reads its INI file. */
export interface ConfigurationReader<Settings> {
  /** `other`: what an unknown key may belong to instead. */
  readonly parse: (text: string, other?: OtherTable) => LoadedConfig<Settings>;
  readonly readOther?: () => Promise<OtherTable>;
  /** Keys that one action needs and that the file lacks, although it is valid for other actions. */
  readonly findMissing?: (config: UsableConfig<Settings>) => readonly Problem[];
}

function unusable(file: string, problems: readonly Problem[]): PitrError {
  const lines = problems.length === 1 ? 'this line' : 'these lines';
  return new PitrError(
    `the configuration file cannot be used:\n${describeProblems(file, problems).join('\n')}`,
    { hint: `Correct ${lines}; doc/reference.md explains each key.`, exitCode: exitCodes.configuration },
  );
}

/** Far more than any file that a person writes. */
const mostBytes = 1024 * 1024;

/** Opening a pipe, or reading a device, might never end. */
async function readText(file: string): Promise<string> {
  const found = await stat(file);
  if (!found.isFile()) throw new Error('it is not a regular file');
  if (found.size > mostBytes) throw new Error(`it has ${found.size} bytes: no INI file is larger than 1 MB`);
  const bytes = await readFile(file);
  if (isUtf16(bytes))
    throw new Error('it is UTF-16, not UTF-8: save it as UTF-8, or convert it by iconv -f UTF-16 -t UTF-8');
  return bytes.toString('utf8');
}

/** By its mark, or by the zero byte that each letter of ASCII has in it. An editor of another system saves this form. */
function isUtf16(bytes: Buffer): boolean {
  const mark = bytes.subarray(0, 2).toString('hex');
  if (mark === 'fffe' || mark === 'feff') return true;
  return bytes.length >= 2 && (bytes[0] === 0) !== (bytes[1] === 0);
}

/** Throws one error that names every problem of the file. */
export async function readConfiguration<Settings>(
  file: string,
  { parse, readOther, findMissing = () => [] }: ConfigurationReader<Settings>,
): Promise<ConfigurationFile<Settings>> {
  const text = await readText(file).catch((error: unknown) => {
    throw new PitrError(`cannot read the configuration file "${file}"`, {
      detail: messageOf(error),
      exitCode: exitCodes.configuration,
      cause: error,
    });
  });
  const first = parse(text);
  // archive_command starts once for each segment: it loads the other program's keys only where something is wrong.
  const config = first.kind === 'ok' ? first : parse(text, await readOther?.());
  const problems = config.kind === 'ok' ? findMissing(config) : config.problems;
  if (config.kind === 'problems' || problems.length > 0) throw unusable(file, problems);
  return { settings: config.settings, warnings: describeProblems(file, config.warnings) };
}
