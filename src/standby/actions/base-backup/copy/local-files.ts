import { type Dirent, lstatSync, readdirSync } from 'node:fs';
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
  readonly superfluous: readonly string[];
  /** Files of the plan that rsync could not open for writing here. */
  readonly unwritable: readonly string[];
  /** The size of the planned files that exist here in some form. */
  readonly presentBytes: number;
  /**
   * The space that the planned files still need on this file system, after the superfluous entries are removed. Can be
   * negative.
   */
  readonly neededBytes: number;
}

/** A file occupies whole blocks on the disk. */
const blockBytes = 4096;
const statBlockBytes = 512;
const entriesPerBreath = 2000;

function onDisk(size: number): number {
  return Math.ceil(size / blockBytes) * blockBytes;
}

interface Survey {
  readonly superfluous: string[];
  readonly unwritable: string[];
  presentBytes: number;
  neededBytes: number;
}

interface Expected {
  readonly sizes: ReadonlyMap<string, number>;
  readonly links: ReadonlySet<string>;
  readonly directories: ReadonlySet<string>;
}

function expectedOf({ files, directories }: CopyRoot): Expected {
  return {
    sizes: new Map(files.map(({ path, size }) => [path, size])),
    links: new Set(files.flatMap(({ path, isLink }) => (isLink ? [path] : []))),
    directories: new Set(directories.map(({ path }) => path)),
  };
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

/** Whether an entry of the target can stay under its name. */
function isWanted(entry: Dirent, path: string, expected: Expected): boolean {
  if (entry.isDirectory()) return expected.directories.has(path);
  return expected.sizes.has(path) && entry.isSymbolicLink() === expected.links.has(path);
}

function lookAt(survey: Survey, target: string, path: string, planned: number | undefined): void {
  const found = lstatSync(localPath(target, path), { throwIfNoEntry: false });
  if (found === undefined) return;
  const taken = found.blocks * statBlockBytes;
  if (planned === undefined) {
    survey.superfluous.push(path);
    survey.neededBytes -= found.isFile() && found.nlink === 1 ? taken : 0;
    return;
  }
  if (!found.isFile()) return;
  if ((found.mode & 0o200) === 0) survey.unwritable.push(path);
  survey.presentBytes += Math.min(found.size, planned);
  survey.neededBytes -= Math.min(taken, onDisk(planned));
}

/** Counts the space that the removal of a directory frees. */
async function countBelow(survey: Survey, target: string, path: string): Promise<void> {
  for (const entry of readDirectory(target, path)) {
    const inner = `${path}/${entry.name}`;
    if (entry.isDirectory()) await countBelow(survey, target, inner);
    else {
      const found = lstatSync(localPath(target, inner), { throwIfNoEntry: false });
      survey.neededBytes -= found?.isFile() === true && found.nlink === 1 ? found.blocks * statBlockBytes : 0;
    }
  }
  await breathe();
}

/** Compares everything in a root's target with the plan. Changes nothing. */
export async function surveyTarget(root: CopyRoot, rules: CopyRules): Promise<LocalFiles> {
  const needed = root.files.reduce((sum, { size }) => sum + onDisk(size), 0);
  const survey: Survey = { superfluous: [], unwritable: [], presentBytes: 0, neededBytes: needed };
  const top = readDirectory(root.target, '');
  // If the target is empty, there is nothing to compare.
  if (top.length === 0) return survey;
  const expected = expectedOf(root);
  const walk = async (path: string, entries = readDirectory(root.target, path)): Promise<void> => {
    let seen = 0;
    for (const entry of entries) {
      const inner = path === '' ? entry.name : `${path}/${entry.name}`;
      if (rules.isKept(inner, entry.isSymbolicLink())) continue;
      const wanted = isWanted(entry, inner, expected);
      if (!entry.isDirectory())
        lookAt(survey, root.target, inner, wanted ? expected.sizes.get(inner) : undefined);
      else if (wanted) await walk(inner);
      else {
        survey.superfluous.push(inner);
        await countBelow(survey, root.target, inner);
      }
      if (++seen % entriesPerBreath === 0) await breathe();
    }
  };
  await walk('', top);
  return survey;
}
