import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { PitrError } from '../../errors.ts';
import { exists } from '../../system/durable.ts';
import { shellQuote } from '../../system/shell-quote.ts';
import { runRemotely } from '../remote-files.ts';
import type { BackupContext } from './context.ts';
import { databaseRules } from './copy-rules.ts';
import { copyTree, copyTrees, type Tree } from './copy-tree.ts';

/** The databases' directories, by their numbers. */
async function listDatabases({ primary }: BackupContext): Promise<readonly string[]> {
  const base = join(primary.facts.dataDirectory, 'base');
  const { status, lines } = await runRemotely(primary.shell, `ls -1 ${shellQuote(base)}`);
  if (status !== 0) throw new PitrError(`cannot list "${base}" on the primary: ${lines.join('; ')}`);
  return lines.filter((name) => /^\d+$/.test(name));
}

/** Databases that the primary has no more: their files are none of the other copies' business. */
async function removeDropped(target: string, databases: readonly string[]): Promise<void> {
  const base = join(target, 'base');
  if (!(await exists(base))) return;
  for (const name of await readdir(base)) {
    if (!databases.includes(name)) await rm(join(base, name), { recursive: true, force: true });
  }
}

/** `rsync_threads`: first all but the databases, then each database by an rsync of its own, several at once. */
export async function copyDatabasesApart(context: BackupContext, whole: Tree): Promise<void> {
  const { deps, primary } = context;
  const databases = await listDatabases(context);
  await removeDropped(whole.target, databases);
  await copyTree(context, { ...whole, rules: [...whole.rules, '--exclude=/base/*/*'] });
  const trees = databases.map((name) => ({
    ...whole,
    source: join(whole.source, 'base', name),
    target: join(whole.target, 'base', name),
    rules: databaseRules(),
  }));
  await copyTrees(context, trees, deps.settings.rsync_threads, async ({ source, target }) => {
    const isGone = (await runRemotely(primary.shell, `test -e ${shellQuote(source)}`)).status !== 0;
    // Dropped while the copy ran: the WAL of the backup drops it here, too.
    if (isGone) await rm(target, { recursive: true, force: true });
    return isGone;
  });
}
