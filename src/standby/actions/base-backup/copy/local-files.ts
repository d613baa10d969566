import { type Dirent, lstatSync, readdirSync, type Stats } from 'node:fs';
import { setImmediate as breathe } from 'node:timers/promises';
import { messageOf, PitrError } from '../../../../errors.ts';
import { systemErrorCode } from '../../../../system/durable.ts';
import type { CopyRules } from '../../../host/copy-rules.ts';
import { type CopyRoot, localPath, printablePath } from './planned-files.ts';

/** The state of a root's target before the copy, compared with the plan. Paths have the plan's form. */
export interface LocalFiles {
  /**
   * Entries that must be removed, directories with their contents: the primary does not have them, or has another kind
   * of entry under that name.
   */
  readonly superfluous: string[];
  /** Files of the plan that rsync could not open for writing here. */
  readonly unwritable: string[];
  /** Files of the plan that changed here after a given time. */
  readonly recent: string[];
  /** The size of the planned files that exist here in some form. */
  presentBytes: number;
  /**
   * The space that the planned files still need on this file system, after the superfluous entries are removed. Can be
   * negative.
   */
  neededBytes: number;
}

/** A file occupies whole blocks on the disk. */
const blockBytes = 4096;
const statBlockBytes = 512;
const entriesPerBreath = 2000;

function onDisk(size: number): number {
  return Math.ceil(size / blockBytes) * blockBytes;
}

/** The bytes on the disk that removing an entry frees: none of a file that has another name. */
function freedBy(found: Stats | undefined): number {
  return found?.isFile() === true && found.nlink === 1 ? found.blocks * statBlockBytes : 0;
}

function readDirectory(target: string, path: string): readonly Dirent[] {
  try {
    return readdirSync(localPath(target, path), { withFileTypes: true, encoding: 'latin1' });
  } catch (error) {
    if (path === '' && systemErrorCode(error) === 'ENOENT') return [];
    throw new PitrError(`cannot read directory "${target}/${printablePath(path)}"`, {
      detail: messageOf(error),
      hint: 'It must belong to the user who runs this program, with all rights for its owner.',
      cause: error,
    });
  }
}

/** The state of a survey while it is made. */
interface Surveying {
  readonly survey: LocalFiles;
  readonly target: string;
  readonly sinceMs: number;
}

/** @param planned the size of the planned file that this entry can become; undefined if it must be removed */
function lookAt({ survey, target, sinceMs }: Surveying, path: string, planned: number | undefined): void {
  const found = lstatSync(localPath(target, path), { throwIfNoEntry: false });
  if (found === undefined) return;
  if (planned === undefined) {
    survey.superfluous.push(path);
    survey.neededBytes -= freedBy(found);
    return;
  }
  if (!found.isFile()) return;
  if ((found.mode & 0o200) === 0) survey.unwritable.push(path);
  if (found.mtimeMs > sinceMs) survey.recent.push(path);
  survey.presentBytes += Math.min(found.size, planned);
  survey.neededBytes -= Math.min(found.blocks * statBlockBytes, onDisk(planned));
}

/** Counts the space that the removal of a directory frees. */
async function countBelow(survey: LocalFiles, target: string, path: string): Promise<void> {
  for (const entry of readDirectory(target, path)) {
    const inner = `${path}/${entry.name}`;
    if (entry.isDirectory()) await countBelow(survey, target, inner);
    else survey.neededBytes -= freedBy(lstatSync(localPath(target, inner), { throwIfNoEntry: false }));
  }
  await breathe();
}

/**
 * Compares everything in a root's target with the plan. Changes nothing.
 *
 * @param sinceMs files that changed after this time are recent
 */
export async function surveyTarget(
  root: CopyRoot,
  rules: CopyRules,
  sinceMs = Infinity,
): Promise<LocalFiles> {
  const needed = root.files.reduce((sum, { size }) => sum + onDisk(size), 0);
  const survey: LocalFiles = {
    superfluous: [],
    unwritable: [],
    recent: [],
    presentBytes: 0,
    neededBytes: needed,
  };
  const surveying = { survey, target: root.target, sinceMs };
  const top = readDirectory(root.target, '');
  // If the target is empty, there is nothing to compare.
  if (top.length === 0) return survey;
  const files = new Map(root.files.map((file) => [file.path, file]));
  const directories = new Set(root.directories.map(({ path }) => path));
  const walk = async (path: string, entries = readDirectory(root.target, path)): Promise<void> => {
    for (const [index, entry] of entries.entries()) {
      const inner = path === '' ? entry.name : `${path}/${entry.name}`;
      if (rules.isKept(inner, entry.isSymbolicLink())) continue;
      const file = files.get(inner);
      if (!entry.isDirectory())
        lookAt(surveying, inner, file?.isLink === entry.isSymbolicLink() ? file.size : undefined);
      else if (directories.has(inner)) await walk(inner);
      else {
        survey.superfluous.push(inner);
        await countBelow(survey, root.target, inner);
      }
      if ((index + 1) % entriesPerBreath === 0) await breathe();
    }
  };
  await walk('', top);
  return survey;
}
