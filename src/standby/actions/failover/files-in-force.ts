import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import type { StandbyDeps } from '../../deps.ts';
import type { Server } from '../../server/server.ts';
import type { ServerConfiguration } from '../../server/server-configuration.ts';
import { rowsOf } from '../../server/server-state.ts';

interface Expected {
  readonly key: 'pg_conf_failover' | 'pg_hba_conf_failover';
  readonly parameter: 'config_file' | 'hba_file';
  readonly path: string;
}

function expectedFiles({ settings }: StandbyDeps, configuration: ServerConfiguration): readonly Expected[] {
  const { configFile, parameters, inFile } = configuration;
  const hba = parameters.get('hba_file') ?? inFile.get('hba_file') ?? join(settings.pgdata, 'pg_hba.conf');
  const all = [
    { key: 'pg_conf_failover', parameter: 'config_file', path: configFile },
    { key: 'pg_hba_conf_failover', parameter: 'hba_file', path: hba },
  ] as const;
  return all.filter(({ key }) => settings[key] !== undefined);
}

async function isSameFile(one: string, other: string): Promise<boolean> {
  const [first, second] = await Promise.all([one, other].map((path) => realpath(path).catch(() => path)));
  return first === second;
}

/**
 * A site's own start_command may start the server with other files than the INI file names, and a reload of those
 * succeeds. An operator who relies on pg_hba_conf_failover to keep clients out must be warned. That is no reason to
 * fail a failover which has come this far.
 */
export async function warnOfOtherFiles(server: Server, configuration: ServerConfiguration): Promise<void> {
  const { deps } = server;
  const expected = expectedFiles(deps, configuration);
  if (expected.length === 0) return;
  const rows = await rowsOf(
    server,
    "SELECT current_setting('config_file') AS config_file, current_setting('hba_file') AS hba_file",
  );
  if (rows === undefined) return;
  for (const { key, parameter, path } of expected) {
    const inForce = String(rows[0]?.[parameter]);
    if (await isSameFile(inForce, path)) continue;
    deps.log.warning(`${key} is not in force: the server reads "${inForce}", not "${path}"`, {
      hint: 'start_command itself decides which files the server reads: change those files, for example by action_failover.',
    });
  }
}
