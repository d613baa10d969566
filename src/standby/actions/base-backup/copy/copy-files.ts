import { lstatSync } from 'node:fs';
import { setImmediate as breathe } from 'node:timers/promises';
import { PitrError } from '../../../../errors.ts';
import type { CopyFacts } from '../../../host/backup-record/record.ts';
import { originName, originOf } from '../../../primary/origin.ts';
import type { BackupContext } from '../context.ts';
import { secondsBetween } from '../results.ts';
import { comparisonFor } from './comparison.ts';
import { copyGroups } from './copy-pool.ts';
import { shareOut, splitAtLinks } from './groups.ts';
import { type CopyPlan, type CopyRoot, localPath, type PlannedFile, printablePath } from './planned-files.ts';
import { sizesOnPrimary } from './remote-sizes.ts';

/** A file here that differs from the plan. A size is undefined if the file does not exist. */
export interface Deviation {
  readonly file: PlannedFile;
  readonly here: number | undefined;
}

export type Verdict = 'lawful' | 'again';

/**
 * Whether the primary's running server explains the difference. If the file was removed there, WAL replay removes it
 * here. If its size changed during the copy, any size between the two is right. Any other file is copied again: a file
 * that was truncated and grew again looks like one that was not copied whole.
 *
 * @param planned size when the backup began
 * @param now size after the copy; undefined for a file that was removed
 */
export function judgeDeviation({ file, here }: Deviation, now: number | undefined): Verdict {
  if (now === undefined) return 'lawful';
  if (here === undefined) return 'again';
  const [least, most] = [Math.min(file.size, now), Math.max(file.size, now)];
  return file.isLink || (here >= least && here <= most) ? 'lawful' : 'again';
}

function sizeHere(target: string, { path, isLink }: PlannedFile): number | undefined {
  const found = lstatSync(localPath(target, path), { throwIfNoEntry: false });
  if (isLink) return found?.isSymbolicLink() === true ? 0 : undefined;
  return found?.isFile() === true ? found.size : undefined;
}

const filesPerBreath = 2000;

/** A call that waits for a thread would cost ten times as much for each file, and there may be millions. */
async function findDeviations(root: CopyRoot, files: readonly PlannedFile[]): Promise<readonly Deviation[]> {
  const found: Deviation[] = [];
  for (const [index, file] of files.entries()) {
    const here = sizeHere(root.target, file);
    if (here === undefined || (!file.isLink && here !== file.size)) found.push({ file, here });
    if ((index + 1) % filesPerBreath === 0) await breathe();
  }
  return found;
}

/** The files whose difference a running server does not explain. */
async function findUnexplained(
  { primary }: BackupContext,
  root: CopyRoot,
  files: readonly PlannedFile[],
): Promise<readonly (Deviation & { readonly now: number })[]> {
  const deviations = await findDeviations(root, files);
  if (deviations.length === 0) return [];
  const sizes = await sizesOnPrimary(
    originOf(primary).shell,
    root.source,
    deviations.map(({ file }) => file.path),
  );
  return deviations.flatMap((deviation, index) => {
    const now = sizes[index];
    return now === undefined || judgeDeviation(deviation, now) === 'lawful' ? [] : [{ ...deviation, now }];
  });
}

/** The number of attempts: a busy server may change a file each time that we look at it. */
const rounds = 5;
const shownFiles = 10;

async function checkRoot(context: BackupContext, root: CopyRoot): Promise<number> {
  let unexplained = await findUnexplained(context, root, root.files);
  let moved = 0;
  const silent = { ...context, onEvent: () => undefined };
  for (let round = 1; unexplained.length > 0 && round < rounds; round++) {
    context.deps.log.debug(`${unexplained.length} files of ${root.source} are copied once more`);
    // From here on the size that was seen last is the expected one.
    const files = unexplained.map(({ file, now }) => ({ ...file, size: now }));
    const bytes = files.reduce((sum, { size }) => sum + size, 0);
    moved += (await copyGroups(silent, splitAtLinks({ root, files, bytes }), 'contents')).literal;
    unexplained = await findUnexplained(context, root, files);
  }
  if (unexplained.length === 0) return moved;
  const lines = unexplained
    .slice(0, shownFiles)
    .map(
      ({ file, here, now }) =>
        `${root.target}/${printablePath(file.path)}: ${here === undefined ? 'missing here' : `${here} bytes here`}, ${now} on ${originName(context.primary)}`,
    );
  throw new PitrError(`${unexplained.length} files of "${root.source}" were not copied whole`, {
    detail: lines.join('\n'),
    hint: 'rsync reported success. Find out what changes files below that directory here, then run -B again.',
  });
}

/** Compares the copy with the plan: every file must exist and have its size. Returns how many bytes were transferred again. */
async function checkCopy(context: BackupContext, { roots }: CopyPlan): Promise<number> {
  let moved = 0;
  for (const root of roots) moved += await checkRoot(context, root);
  return moved;
}

/** Copies the planned files, compares the copy with the plan, and returns the costs of the copy. */
export async function copyFiles(
  context: BackupContext,
  plan: CopyPlan,
  backupBeganMs: number,
): Promise<CopyFacts> {
  const { deps, facts } = context;
  const threads = deps.settings.rsync_threads;
  const beganMs = deps.monotonicMs();
  const moved = await copyGroups(context, shareOut(plan, threads), comparisonFor(facts));
  const movedBytes = moved.literal + (await checkCopy(context, plan));
  const endedMs = deps.monotonicMs();
  return {
    files: plan.files,
    bytes: plan.bytes,
    movedBytes,
    reusedBytes: Math.max(0, plan.bytes - movedBytes),
    receivedBytes: moved.received,
    threads,
    copySeconds: secondsBetween(beganMs, endedMs),
    seconds: secondsBetween(backupBeganMs, endedMs),
  };
}
