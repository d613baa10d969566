import { readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { PitrError, refusal } from '../../../../errors.ts';
import {
  ensureDirectory,
  exists,
  fsyncPath,
  readIfExists,
  removeDurably,
} from '../../../../system/durable.ts';
import { removeTree, rename, symlink, unlink } from '../../../../system/files.ts';
import { mountsBelow } from '../../../../system/mounts.ts';
import { readPostmaster } from '../../../../system/postmaster.ts';
import { recordFileName } from '../../../../system/stopped-for.ts';
import { type BackupRecord, writeRecord } from '../../../host/backup-record/record.ts';
import { serverObjections } from '../../../host/place.ts';
import {
  type CopyPlace,
  filledDirectories,
  outsidePgdata,
  rewriteTablespaceMap,
} from '../../../host/tablespaces.ts';
import { isEmptied, readWalLink, type WalLink } from '../../../host/wal-link.ts';
import { incompleteControlFile } from '../../../server/data-directory.ts';
import { makeForServer, openToGroup, writeForServer } from '../../../server/server-modes.ts';
import { withSlot } from '../../../slot/notes.ts';
import { isOverruled } from '../../../steps/objections.ts';
import type { BackupContext } from '../context.ts';
import type { BackupFacts } from '../facts.ts';
import type { StoppedOnPrimary } from '../on-primary/primary-backup.ts';

/**
 * Refuses if a server was started on pgdata since the first check. The checkpoint at the start of the backup, or the
 * transfer by pg_basebackup, takes long enough for an operator to start one.
 */
async function refuseServerStartedMeanwhile({ place, force }: BackupFacts): Promise<void> {
  const now = { ...place, postmaster: await readPostmaster(place.pgdata) };
  const [objection] = serverObjections(now).filter((one) => !isOverruled(one, force));
  if (objection === undefined) return;
  throw refusal(objection.message, {
    detail: 'This was not the case when the run began. Nothing was copied over it.',
    hint: objection.hint,
  });
}

/** The state of pgdata before this run made it unable to start. It is restored as long as no byte has changed. */
export interface Before {
  readonly record: Buffer | undefined;
  readonly hadControl: boolean;
}

function controlPaths(pgdata: string) {
  const global = join(pgdata, 'global');
  return { global, control: join(global, 'pg_control'), incomplete: join(global, incompleteControlFile) };
}

export async function readBefore(pgdata: string): Promise<Before> {
  return {
    record: await readIfExists(join(pgdata, recordFileName)),
    hadControl: await exists(controlPaths(pgdata).control),
  };
}

function isUnfinished({ record, hadControl }: Before): boolean {
  return !hadControl && record !== undefined && /"status": *"copying"/.test(record.toString('utf8'));
}

/** All else that an earlier record says is about the server that is replaced. */
function slotRecord({ record, slot, slotIdentity }: SlotFacts) {
  const slots = withSlot(record.ownSlots ?? [], slot);
  return { ownSlots: slots.length === 0 ? undefined : slots, slotIdentity };
}

type SlotFacts = Pick<BackupFacts, 'record' | 'slot' | 'slotIdentity'>;

/**
 * Takes pg_control away and records that a copy is in progress, each flushed before the next step. From here on no
 * server can start on this directory.
 */
export async function markCopying(facts: BackupFacts, record: BackupRecord, before: Before): Promise<void> {
  const { pgdata, targets, ownConfiguration } = facts.place;
  const tablespaces = outsidePgdata(targets).map(({ target }) => target);
  // A running server would fail soon without its pg_control.
  await refuseServerStartedMeanwhile(facts);
  await ensureDirectory(pgdata);
  try {
    const backup = { ...record, tablespaces, ownConfiguration };
    await writeRecord(pgdata, { backup, ...slotRecord(facts) });
  } catch (error) {
    // If an earlier copy filled the disk, there is no space for the new record. The earlier record says the same, and
    // the next step makes space.
    if (!isUnfinished(before)) throw error;
  }
  if (!before.hadControl) return;
  const { global, control, incomplete } = controlPaths(pgdata);
  await rename(control, incomplete);
  await fsyncPath(global);
  // A server that started before the rename is seen now, and none can start after it.
  await refuseServerStartedMeanwhile(facts);
}

/** Allowed only while nothing was copied, because pgdata is then unchanged. */
export async function unmarkCopying(pgdata: string, before: Before): Promise<void> {
  const { global, control, incomplete } = controlPaths(pgdata);
  if (before.hadControl && !(await exists(control))) {
    await rename(incomplete, control);
    await fsyncPath(global);
  }
  const record = join(pgdata, recordFileName);
  if (before.record === undefined) await removeDurably(record);
  else await writeForServer(pgdata, record, before.record);
}

/** Refuses a link that was made or changed since the check: nothing has examined its target. */
async function requireSameLink({ place, primary }: BackupFacts): Promise<WalLink | undefined> {
  const link = await readWalLink(place.pgdata, primary.capabilities.walDirName);
  if (link === undefined || (link.directory !== undefined && link.directory === place.walLink?.directory))
    return link;
  throw new PitrError(`"${link.path}" leads to another directory than when this run began`, {
    detail: link.problem ?? `It is a link to "${link.text}" now.`,
    hint: 'Correct the link, then run -B again.',
  });
}

/** Removes the WAL of the previous server: recovery reads the WAL of the backup from the archive. */
export async function emptyWal({ deps, facts }: BackupContext): Promise<void> {
  const { pgdata } = facts.place;
  const wal = join(pgdata, facts.primary.capabilities.walDirName);
  deps.log.debug(`cleaning up ${wal}/ directory`);
  const link = await requireSameLink(facts);
  if (link === undefined) await makeForServer(pgdata, wal);
  // A WAL directory inside pgdata contains only the server's files, except those of a file system.
  const isGone = link === undefined ? (name: string) => name !== 'lost+found' : isEmptied;
  for (const name of (await readdir(wal)).filter(isGone)) await removeTree(join(wal, name));
  await makeForServer(pgdata, join(wal, 'archive_status'));
}

/** Makes the links in `pg_tblspc`, and removes the links of tablespaces that this backup does not have. */
export async function linkTablespaces({ pgdata, targets }: CopyPlace): Promise<void> {
  const directory = join(pgdata, 'pg_tblspc');
  await makeForServer(pgdata, directory);
  for (const entry of await readdir(directory, { withFileTypes: true }))
    if (entry.isSymbolicLink()) await unlink(join(directory, entry.name));
  for (const { oid, target, isInsidePgdata } of targets) {
    if (!isInsidePgdata) await openToGroup(pgdata, target);
    await symlink(target, join(directory, oid));
  }
  await fsyncPath(directory);
}

/** `backup_label`, without which a server would take the copy for a crashed cluster, and `tablespace_map`. */
export async function writeLabelFiles(
  { place: { pgdata, targets }, primary: { capabilities } }: Pick<BackupFacts, 'place' | 'primary'>,
  { labelFile, tablespaceMap }: StoppedOnPrimary,
): Promise<void> {
  await writeForServer(pgdata, join(pgdata, 'backup_label'), labelFile);
  if (tablespaceMap === undefined) return;
  const map = rewriteTablespaceMap(tablespaceMap, targets, capabilities);
  await writeForServer(pgdata, join(pgdata, 'tablespace_map'), map);
}

/**
 * Gives pg_control its name. Everything else is on the disk by then, including backup_label: a server can start from
 * this rename on, and not before. The record follows; after a crash between the two only another -B is needed.
 */
export async function putControlInPlace(
  { place: { pgdata }, ...facts }: BackupFacts,
  content: Buffer,
  backup: BackupRecord,
): Promise<void> {
  const { global, control, incomplete } = controlPaths(pgdata);
  await writeForServer(pgdata, control, content);
  await fsyncPath(global);
  await writeRecord(pgdata, { backup, ...slotRecord(facts) });
  await removeDurably(incomplete);
}

/** The directories that must be flushed: a WAL directory may be a link to another file system, and any directory its root. */
export async function copiedRoots({ facts }: BackupContext): Promise<readonly string[]> {
  const wal = join(facts.place.pgdata, facts.primary.capabilities.walDirName);
  const walTarget = await readlink(wal).catch(() => undefined);
  const roots = [...filledDirectories(facts.place), ...(walTarget === undefined ? [] : [wal])];
  return [...roots, ...(await mountsBelow(roots))];
}
