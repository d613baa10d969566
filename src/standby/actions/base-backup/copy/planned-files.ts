import type { LocalFiles } from './local-files.ts';

/**
 * The files that a base backup copies, as the primary had them when the backup had begun. The list is made once, before the first
 * byte changes here, and the copy is checked against it at its end. A file that comes later is made by the WAL.
 */

/** A regular file, or a symbolic link to one. */
export interface PlannedFile {
  /**
   * Relative to its root, one character for each byte of the name: a name need not be valid in any encoding.
   * `localPath` makes a path of it.
   */
  readonly path: string;
  readonly size: number;
  readonly isLink: boolean;
}

export interface PlannedDirectory {
  /** Like a file's; empty for the root itself. */
  readonly path: string;
  /** Permission bits. */
  readonly mode: number;
}

/** A symbolic link to a directory, whose files are listed as if they lay there. */
export interface DirectoryLink {
  /** Like a file's. */
  readonly path: string;
  /** Where it leads on the primary, without links. */
  readonly directory: string;
}

/** The data directory, or the server's own folder of one tablespace. */
export interface CopyRoot {
  readonly kind: 'data' | 'tablespace';
  /** The tablespace's name; of the data directory, `data directory`. */
  readonly name: string;
  /** On the primary; without links once it was listed. */
  readonly source: string;
  /** On this host. */
  readonly target: string;
  readonly directories: readonly PlannedDirectory[];
  readonly files: readonly PlannedFile[];
  readonly links: readonly DirectoryLink[];
  readonly bytes: number;
}

/** A root with how its target looked before the copy. */
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

/** The path of something below a root, for node's file functions. */
export function localPath(target: string, path: string): string | Buffer {
  if (path === '') return target;
  if (plainName.test(path)) return `${target}/${path}`;
  return Buffer.concat([Buffer.from(`${target}/`), Buffer.from(path, 'latin1')]);
}

/** A planned path as a person reads it. */
export function printablePath(path: string): string {
  return plainName.test(path) ? path : Buffer.from(path, 'latin1').toString('utf8');
}

/** The opposite of it. */
export function plannedPath(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}
