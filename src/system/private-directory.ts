import { lstat, mkdir, mkdtemp, opendir, rmdir, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isProcessAlive } from './processes.ts';

// sun_path holds 108 bytes, and ssh appends a random suffix of 17 while it binds the socket.
const longestDirectory = 80;
const longestName = 'pitrtools-4294967294/4194304-XXXXXX'.length;

/**
 * The names that may lie in a private directory, including a socket's while ssh binds it. Nothing else is ever
 * removed there.
 */
const knownNames = /^(socket(\.[A-Za-z0-9]{16})?|passwords|files|output)$/;
const nameOfOurs = /^(?:pitrtools-)?(\d+)-[A-Za-z0-9]{6}$/;

/** Limits a look into a directory that others may fill: a million foreign names must not delay a connection. */
const mostNamesSeen = 250;

function temporaryParent(): string {
  return tmpdir().length + 1 + longestName > longestDirectory ? '/tmp' : tmpdir();
}

/** Use only lstat here: a symbolic link of that name leads to whatever its owner wants removed. */
async function isOurs(directory: string): Promise<boolean> {
  const found = await lstat(directory).catch(() => undefined);
  return (
    found !== undefined &&
    found.isDirectory() &&
    found.uid === process.getuid?.() &&
    (found.mode & 0o077) === 0
  );
}

/**
 * The directory in which ours are made: `/tmp/pitrtools-UID`, 0700, where nobody else can create or change anything.
 * We do not use XDG_RUNTIME_DIR, because a logout removes it while a shipper that was started by hand still runs; nor
 * one of the INI file's directories, because their file systems perhaps support no sockets. Undefined if the name is
 * taken by something that is not ours, or that others may enter.
 */
async function ownParent(): Promise<string | undefined> {
  return ownDirectory(join(temporaryParent(), `pitrtools-${process.getuid?.() ?? 0}`));
}

async function ownDirectory(path: string): Promise<string | undefined> {
  await mkdir(path, { mode: 0o700 }).catch(() => undefined);
  return (await isOurs(path)) ? path : undefined;
}

/** A lasting one below `/tmp/pitrtools-UID`, whatever TMPDIR says: our launchers look there. */
export async function ownSharedDirectory(name: string): Promise<string | undefined> {
  const parent = await ownDirectory(`/tmp/pitrtools-${process.getuid?.() ?? 0}`);
  return parent === undefined ? undefined : ownDirectory(join(parent, name));
}

async function namesIn(directory: string): Promise<readonly string[]> {
  const names: string[] = [];
  const entries = await opendir(directory).catch(() => undefined);
  if (entries === undefined) return names;
  for await (const { name } of entries) if (names.push(name) >= mostNamesSeen) break;
  return names;
}

/** Removes a directory of ours by the names that we put there; never deeper entries, and never through a link. */
async function removePrivateDirectory(directory: string): Promise<void> {
  if (!(await isOurs(directory))) return;
  for (const name of await namesIn(directory)) {
    if (knownNames.test(name)) await unlink(join(directory, name)).catch(() => undefined);
  }
  await rmdir(directory).catch(() => undefined);
}

/** Removes what processes left behind that died before they could do so. */
async function removeDeadDirectories(parent: string): Promise<void> {
  for (const name of await namesIn(parent)) {
    const pid = nameOfOurs.exec(name)?.[1];
    if (pid !== undefined && !isProcessAlive(Number(pid))) await removePrivateDirectory(join(parent, name));
  }
}

async function makePrivateDirectory(): Promise<string> {
  const own = await ownParent();
  const parent = own ?? temporaryParent();
  await removeDeadDirectories(parent);
  return mkdtemp(join(parent, own === undefined ? `pitrtools-${process.pid}-` : `${process.pid}-`));
}

/** The entries that are allowed in a private directory. */
export type PrivateName = 'socket' | 'passwords' | 'files' | 'output';

/**
 * Gives `use` the path of a file in a new directory that only we can enter. Its name is short enough for a socket.
 * The directory is removed afterwards; the next call removes what a killed process left.
 */
export async function withPrivateFile<T>(name: PrivateName, use: (path: string) => Promise<T>): Promise<T> {
  const directory = await makePrivateDirectory();
  try {
    return await use(join(directory, name));
  } finally {
    await removePrivateDirectory(directory);
  }
}
