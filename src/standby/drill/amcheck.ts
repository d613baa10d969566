/** --deep: pg_amcheck on all databases of the copy. */
import { describeResult, succeeded } from '../../system/command.ts';
import { findProgram } from '../../system/find-program.ts';
import { readPostmaster } from '../../system/postmaster.ts';
import { quoted } from '../../system/printable.ts';
import { localServerAt } from '../server/local-address.ts';
import type { Server } from '../server/server.ts';
import { programFolders } from '../server/server-programs.ts';
import { rowsOf } from '../server/server-state.ts';
import { type CheckResult, failed, notChecked, passed } from './check-results.ts';

const name = 'pg_amcheck';
/** It prints a line for each fault. */
const shown = 1_000;

/**
 * The faults that it printed: a line for each relation, and indented lines for what is wrong there. A database that was
 * upgraded from 13 may have a version of amcheck that cannot look at tables, which is no fault of theirs.
 */
export function faultsIn(text: string): { readonly faults: string; readonly isOldExtension: boolean } {
  const blocks = text.trim().split(/\n(?!\s)/);
  const isOld = (block: string): boolean => /\n\s+ERROR: .*\bverify_heapam\(.* does not exist/.test(block);
  const faults = blocks.filter((block) => !isOld(block)).join('\n');
  return { faults, isOldExtension: blocks.some(isOld) };
}

export async function checkDeeply(server: Server, isWanted: boolean): Promise<CheckResult> {
  const { deps, capabilities, pgdata } = server;
  if (!isWanted) return notChecked(name, 'only with --deep');
  if (!capabilities.hasPgAmcheck)
    return notChecked(name, `PostgreSQL ${capabilities.version.major} has no pg_amcheck`);
  const program = await findProgram('pg_amcheck', programFolders(deps, capabilities));
  if (program === undefined) return notChecked(name, 'there is no program pg_amcheck here');
  const [found] =
    (await rowsOf(
      server,
      "SELECT count(*)::int AS found FROM pg_available_extensions WHERE name = 'amcheck'",
    )) ?? [];
  if (found?.['found'] !== 1) return notChecked(name, 'the extension amcheck is not installed on this host');
  const { host, port, user } = localServerAt(deps.settings, await readPostmaster(pgdata), new Map());
  const address = ['--host', host, '--port', String(port), '--username', user, '--no-password'];
  const args = [...address, '--all', '--install-missing', '--heapallindexed'];
  const result = await deps.run(
    { program, args },
    { limitMs: deps.settings.drill_time * 1000, signal: deps.signal },
  );
  deps.signal.throwIfAborted();
  if (succeeded(result)) return passed(name, 'no fault in any database');
  const { faults, isOldExtension } = faultsIn(result.stdout);
  if (faults !== '') return failed(name, quoted(faults.split('\n').join('; '), shown));
  if (!isOldExtension) return failed(name, describeResult(result));
  return notChecked(
    name,
    'a database has a version of the extension amcheck that cannot check tables: on the primary, run ALTER EXTENSION amcheck UPDATE in it',
  );
}
