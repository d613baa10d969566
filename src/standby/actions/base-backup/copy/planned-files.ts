import { readdir } from 'node:fs/promises';
import type { LocalFiles } from './local-files.ts';

/**
 * The files that a base backup copies, in the state that they had on the primary when the backup began. The list is
 * made once, before the first byte changes here, and the copy is checked against it at the end. Files that the primary
 * makes later are made here by WAL replay.
 */

/** A regular file, or a symbolic link to one. */
export interface PlannedFile {
  /**
   * Relative to its root, with one character for each byte of the name, because a name need not be valid in any
   * encoding. `localPath` converts it.
   */
  readonly path: string;
  readonly size: number;
  readonly isLink: boolean;
}

export interface PlannedDirectory {
  /** In the same form as a file's path; empty for the root itself. */
  readonly path: string;
  /** Permission bits. */
  readonly mode: number;
}

/** A symbolic link to a directory. The files behind it are listed as if they were in an ordinary directory. */
export interface DirectoryLink {
  /** In the same form as a file's path. */
  readonly path: string;
  /** The real path of its target on the primary. */
  readonly directory: string;
}

/** The data directory, or the server's own folder of one tablespace. */
export interface CopyRoot {
  readonly kind: 'data' | 'tablespace';
  /** The tablespace's name, or `data directory`. */
  readonly name: string;
  /** The path on the primary; after the listing the real path. */
  readonly source: string;
  /** On this host. */
  readonly target: string;
  readonly directories: readonly PlannedDirectory[];
  readonly files: readonly PlannedFile[];
  readonly links: readonly DirectoryLink[];
  readonly bytes: number;
}

/** A root, and the state of its target before the copy. */
export interface SurveyedRoot extends CopyRoot {
  readonly here: LocalFiles;
}

export interface CopyPlan {
  readonly roots: readonly SurveyedRoot[];
  readonly files: number;
  readonly bytes: number;
}

export function planOf(roots: readonly SurveyedRoot[]): CopyPlan {
  const sum = (of: (root: CopyRoot) => number) => roots.reduce((total, root) => total + of(root), 0);
  return { roots, files: sum(({ files }) => files.length), bytes: sum(({ bytes }) => bytes) };
}

// eslint-disable-next-line no-control-regex -- the whole of ASCII is meant
const plainName = /^[\x00-\x7f]*$/;

/** A planned path as a real path, for Node's file functions. */
export function localPath(target: string, path: string): string | Buffer {
  if (path === '') return target;
  if (plainName.test(path)) return `${target}/${path}`;
  return Buffer.concat([Buffer.from(`${target}/`), Buffer.from(path, 'latin1')]);
}

/** A planned path for messages. */
export function printablePath(path: string): string {
  return plainName.test(path) ? path : Buffer.from(path, 'latin1').toString('utf8');
}

/** The reverse of `localPath`. */
export function plannedPath(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** The names in a directory of this host, in the form of a plan. */
export function plannedNamesIn(directory: string): Promise<string[]> {
  return readdir(directory, { encoding: 'latin1' });
}
