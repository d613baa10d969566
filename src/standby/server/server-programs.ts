import { readdir } from 'node:fs/promises';
import { refusal } from '../../errors.ts';
import type { Capabilities } from '../../postgres/capabilities.ts';
import { findVersion, isSameMajor, type Version } from '../../postgres/version.ts';
import { type CommandLine, describeResult } from '../../system/command.ts';
import { requireProgram } from '../../system/find-program.ts';
import type { StandbyDeps } from '../deps.ts';

const limitMs = 10_000;

/** The package folders of all releases that are installed here, for the time before a release is known. */
export async function installedPackageFolders(): Promise<readonly string[]> {
  const majors = await readdir('/usr/lib/postgresql').catch((): string[] => []);
  const pgdg = (await readdir('/usr').catch((): string[] => [])).filter((name) => name.startsWith('pgsql-'));
  return [...majors, ...pgdg.map((name) => name.slice('pgsql-'.length))].flatMap(packageFolders);
}

/** The folders in which packages install the programs of one major release. They are not on the PATH. */
function packageFolders(major: string): readonly string[] {
  return [`/usr/lib/postgresql/${major}/bin`, `/usr/pgsql-${major}/bin`, `/usr/local/pgsql/bin`];
}

/** Where the programs of this release are looked for. */
export function programFolders({ settings }: StandbyDeps, { version }: Capabilities): readonly string[] {
  return [...settings.includepath, ...packageFolders(version.major)];
}

/** The version of one of PostgreSQL's programs, as the program itself says. */
export async function requireVersion(
  deps: StandbyDeps,
  command: CommandLine,
  hint: string,
): Promise<Version> {
  const result = await deps.run({ ...command, args: [...command.args, '--version'] }, { limitMs });
  // A site's own wrapper may print the version and exit with another status than 0.
  const version = findVersion(result.stdout);
  if (version !== undefined) return version;
  const detail = describeResult(result);
  throw refusal(`cannot determine the version of "${command.program}"`, { detail, hint });
}

/**
 * pg_ctl of the data directory's version. Another version would refuse the directory at best, with a misleading
 * message.
 *
 * @param whose the owner of that version, if it is not the data directory
 */
export async function requirePgCtl(
  deps: StandbyDeps,
  capabilities: Capabilities,
  whose: 'data directory' | 'primary' = 'data directory',
): Promise<CommandLine> {
  const { settings } = deps;
  const command = await requireProgram('pg_ctl', settings.pg_ctl, programFolders(deps, capabilities));
  const version = await requireVersion(deps, command, "Set pg_ctl: to the path of the server's pg_ctl.");
  if (isSameMajor(version, capabilities.version)) return command;
  const { major } = capabilities.version;
  const other = whose === 'primary' ? 'the primary is' : `the data directory "${settings.pgdata}"`;
  const check = whose === 'primary' ? 'port:' : 'pgdata:';
  throw refusal(`"${command.program}" is of PostgreSQL ${version.major}, but ${other} of ${major}`, {
    hint: `Install PostgreSQL ${major} here and set pg_ctl: to its pg_ctl, or check ${check}.`,
  });
}
