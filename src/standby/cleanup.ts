import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { refusal } from '../errors.ts';
import { isSegmentSize, segmentContaining, segmentNumber, type WalLayout } from '../postgres/lsn.ts';
import {
  compareWalNames,
  type BackupName,
  type PartialName,
  type SegmentName,
  type WalName,
} from '../postgres/wal-name.ts';
import { fsyncPath } from '../system/durable.ts';
import type { ActionOptions, StandbyDeps } from './deps.ts';
import { carryOut, printPlan, type StepHandler } from './plan.ts';
import { requireArchive, type Archive } from './server/archive.ts';
import { readDataDirectory, refuseIncompleteCopy, type DataDirectory } from './server/data-directory.ts';

export interface CleanupFacts {
  readonly directory: Pick<DataDirectory, 'pgdata' | 'control' | 'controlProblem' | 'backupLabel' | 'record'>;
  readonly files: readonly WalName[];
  readonly layout: WalLayout;
  readonly numarchives: number;
}

export interface CleanupStep {
  readonly kind: 'remove';
  readonly name: string;
}

/** Where the data directory would begin to replay: nothing before it is ever read again by what is here. */
function firstNeeded({ directory, layout }: CleanupFacts): SegmentName {
  const { backupLabel, control, pgdata } = directory;
  if (control === undefined) {
    throw refusal(`cannot tell which WAL "${pgdata}" needs; nothing was removed`, {
      detail: directory.controlProblem,
    });
  }
  if (backupLabel !== undefined) return backupLabel.startSegment;
  if (control.state === 'in-archive-recovery' || control.state === 'shut-down-in-recovery')
    return segmentContaining(control.timeline, control.redoLsn, layout);
  throw refusal(
    `"${pgdata}" holds neither a base backup nor a standby: which WAL is needed cannot be told; nothing was removed`,
    { detail: `The server was last ${control.state.replaceAll('-', ' ')}.` },
  );
}

type Placed = SegmentName | PartialName | BackupName;

function segmentOf(name: Placed): SegmentName {
  return name.kind === 'segment' ? name : name.segment;
}

/** History files are small and may be needed by any later standby; everything else has a place in the WAL. */
function isPlaced(name: WalName): name is Placed {
  return name.kind !== 'history';
}

/** A timeline that the standby has not come to yet may be one that it will be told to follow: that is not for us to know. */
function isBefore(name: Placed, needed: SegmentName, layout: WalLayout): boolean {
  const segment = segmentOf(name);
  if (segment.timeline > needed.timeline) return false;
  return segmentNumber(segment, layout) < segmentNumber(needed, layout);
}

/** What nobody needs, oldest first; `numarchives` segments stay in any case. */
export function planCleanup(facts: CleanupFacts): readonly CleanupStep[] {
  const needed = firstNeeded(facts);
  const placed = facts.files.filter(isPlaced).sort(compareWalNames);
  const segments = placed.filter(({ kind }) => kind === 'segment').length;
  let mayGo = Math.max(0, segments - facts.numarchives);
  const steps: CleanupStep[] = [];
  for (const name of placed.filter((one) => isBefore(one, needed, facts.layout))) {
    if (name.kind === 'segment' && mayGo-- <= 0) break;
    steps.push({ kind: 'remove', name: name.name });
  }
  return steps;
}

/** From the record, or from what lies in the archive, if that is of one mind. */
async function segmentSize(directory: DataDirectory, archive: Archive): Promise<number> {
  const recorded = directory.record.backup?.segmentSize;
  if (recorded !== undefined) return recorded;
  const sizes = new Set<number>();
  for (const { kind, name } of archive.files)
    if (kind === 'segment') sizes.add((await stat(join(archive.directory, name))).size);
  const [size = 0] = sizes;
  if (sizes.size === 1 && isSegmentSize(size)) return size;
  throw refusal(
    `cannot tell the size of a WAL segment from what is in "${archive.directory}"; nothing was removed`,
  );
}

async function observe(deps: StandbyDeps): Promise<CleanupFacts> {
  const { settings } = deps;
  await refuseIncompleteCopy(settings.pgdata);
  const directory = await readDataDirectory(settings.pgdata);
  const archive = await requireArchive(settings.archivedir, directory);
  const layout = {
    segmentSize: await segmentSize(directory, archive),
    walSegmentSkipsFF: directory.capabilities.walSegmentSkipsFF,
  };
  return { directory, files: archive.files, layout, numarchives: settings.numarchives };
}

function handler(deps: StandbyDeps): StepHandler<CleanupStep> {
  return {
    describe: (step) => `remove ${step.name}`,
    run: async (step) => {
      await rm(join(deps.settings.archivedir, step.name), { force: true });
      deps.report(`removed ${step.name}`);
    },
  };
}

/** `--cleanup`: removes from archivedir what is provably needed no more. */
export async function cleanUpArchive(deps: StandbyDeps, options: ActionOptions): Promise<number> {
  const { archivedir } = deps.settings;
  const steps = planCleanup(await observe(deps));
  if (options.dryRun) {
    printPlan(deps, steps, handler(deps));
    return 0;
  }
  await carryOut(deps, steps, handler(deps));
  await fsyncPath(archivedir);
  deps.report(`${steps.length} files removed from ${archivedir}`);
  return 0;
}
