import { dirname, join } from 'node:path';
import { succeeded } from '../../system/command.ts';
import type { LocalResult } from '../../system/local-sql.ts';
import type { Server } from './server.ts';
import {
  type ConfigurationRole,
  configurationSources,
  type ServerConfiguration,
} from './server-configuration.ts';
import { requirePgCtl } from './server-programs.ts';
import { withLocalServer } from './server-state.ts';

/** The values of the server's parameters, by name; a parameter whose value is unknown is missing. */
export type ParameterValues = ReadonlyMap<string, string>;

const questionMs = 10_000;

/** The values in the running server. */
export async function parametersOfServer(
  server: Server,
  names: readonly string[],
): Promise<LocalResult<ParameterValues>> {
  const list = names.map((name) => `'${name}'`).join(', ');
  return withLocalServer(server, async (sql) => {
    const rows = await sql(`SELECT name, setting FROM pg_settings WHERE name IN (${list})`);
    return new Map(rows.map((row) => [String(row['name']), String(row['setting'])]));
  });
}

/** The parameters for a start in a role; they name the INI file's configuration file if that must be copied first. */
export function startParameters(
  { deps }: Server,
  role: ConfigurationRole,
  { configFile, parameters }: ServerConfiguration,
): ParameterValues {
  const source = configurationSources(deps.settings, role).conf ?? configFile;
  return new Map([...parameters, ['config_file', source]]);
}

/** The server's own program, which is in the same folder as its pg_ctl. */
async function serverProgram({ deps, capabilities }: Server): Promise<string> {
  const pgCtl = await requirePgCtl(deps, capabilities).catch(() => undefined);
  return pgCtl === undefined ? 'postgres' : join(dirname(pgCtl.program), 'postgres');
}

/**
 * The values that the server's program reports for such a start (from 9.2 on), with all included files. The text of one
 * file is not enough, because it may include others, and other files may override it.
 */
export async function parametersOfFiles(
  server: Server,
  names: readonly string[],
  start: ParameterValues,
  directory = server.pgdata,
): Promise<ParameterValues> {
  const program = await serverProgram(server);
  const flags = [...start].flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const found = new Map<string, string>();
  for (const name of names) {
    const args = ['-D', directory, ...flags, '-C', name];
    const result = await server.deps.run({ program, args }, { limitMs: questionMs });
    if (succeeded(result)) found.set(name, result.stdout.trim());
  }
  return found;
}
