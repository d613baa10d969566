import { lstat, readdir } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative } from 'node:path';
import { checkControlFile } from '../../../../postgres/control-file.ts';
import { fsyncPath, readIfExists } from '../../../../system/durable.ts';
import { chmod, removeTree, rename, unlink } from '../../../../system/files.ts';
import { dataRules } from '../../../host/copy-rules.ts';
import { isServersName, type TablespaceTarget } from '../../../host/tablespaces.ts';
import { makeForServer, openToGroup } from '../../../server/server-modes.ts';
import type { BackupContext } from '../context.ts';
import { localPath, plannedNamesIn } from '../copy/planned-files.ts';
import type { BackupFacts } from '../facts.ts';
import { copyConfiguration } from '../pgdata/configuration.ts';
import { bringHistory } from '../pgdata/history.ts';
import { emptyWal } from '../pgdata/pgdata-files.ts';
import { isReplaced } from './old-copy.ts';
import { receivingDirectory, receivingTablespace } from './places.ts';
import { removeReceived } from './receive.ts';

/** A file can replace another one in one step; a directory cannot. */
async function replace(from: string | Buffer, to: string | Buffer): Promise<void> {
  const there = await lstat(to).catch(() => undefined);
  if (there?.isDirectory() === true || !(await lstat(from)).isFile()) await removeTree(to);
  await rename(from, to);
}

/** backup_label belongs to this copy only. Other files that describe a server's run are not moved. */
async function moveData({ place, primary }: BackupFacts): Promise<void> {
  const from = receivingDirectory(place);
  // pg_basebackup makes the directory with the mode of the primary's data directory, which the group may read.
  await chmod(place.pgdata, (await lstat(from)).mode & 0o777);
  // pg_control was kept aside and is moved last.
  await unlink(join(from, 'global', 'pg_control'));
  const rules = dataRules(place.targets, primary.dataDirectory, place.ownConfiguration);
  const isMoved = (name: string) => name === 'backup_label' || rules.isCopied(name);
  const received = (await plannedNamesIn(from)).filter(isMoved);
  for (const name of await plannedNamesIn(place.pgdata)) {
    if (isReplaced(place, name) && !received.includes(name)) await removeTree(localPath(place.pgdata, name));
  }
  for (const name of received) await replace(localPath(from, name), localPath(place.pgdata, name));
  await fsyncPath(place.pgdata);
}

async function moveTablespace(
  facts: BackupFacts,
  content: Buffer,
  tablespace: TablespaceTarget,
): Promise<void> {
  const from = receivingTablespace(facts.place, tablespace);
  const { target, isInsidePgdata } = tablespace;
  if (isInsidePgdata) {
    await makeForServer(facts.place.pgdata, dirname(target));
    await replace(from, target);
    return;
  }
  const check = checkControlFile(content);
  const control = check.kind === 'good' ? check.control : undefined;
  const isOwn = (name: string) => isServersName(facts.primary.capabilities, control, name);
  const received = (await readdir(from)).filter(isOwn);
  for (const name of (await readdir(target)).filter(isOwn)) await removeTree(join(target, name));
  for (const name of received) await rename(join(from, name), join(target, name));
  await openToGroup(facts.place.pgdata, target);
  await fsyncPath(target);
}

/**
 * The primary's configuration files were received as well if they are in its data directory, and are no symbolic links: the
 * server sends none.
 */
async function readReceivedConfiguration({ facts }: BackupContext) {
  const received = new Map<string, Buffer>();
  for (const { source } of facts.missingConfiguration) {
    const inside = relative(facts.primary.dataDirectory, source);
    if (inside.startsWith('..') || isAbsolute(inside)) continue;
    const content = await readIfExists(join(receivingDirectory(facts.place), inside));
    if (content !== undefined) received.set(source, content);
  }
  return received;
}

/**
 * Moves the received files to the places where a server expects them. From the first rename on, the previous copy is
 * destroyed.
 */
export async function moveIntoPlace(context: BackupContext, control: Buffer): Promise<void> {
  const { facts } = context;
  // A directory in which such a file is may be moved.
  const configuration = await readReceivedConfiguration(context);
  await moveData(facts);
  for (const tablespace of facts.place.targets) await moveTablespace(facts, control, tablespace);
  await emptyWal(context);
  await bringHistory(context);
  const read = (source: string) => Promise.resolve(configuration.get(source));
  await copyConfiguration(context, facts.missingConfiguration, read);
  await removeReceived(facts.place);
}
