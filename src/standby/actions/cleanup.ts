import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { refusal } from '../../errors.ts';
import type { Capabilities } from '../../postgres/capabilities.ts';
import { keptSlot } from '../../postgres/kept-slot.ts';
import { segmentContaining, type WalLayout } from '../../postgres/lsn.ts';
import { compareWalNames, type SegmentName, type WalName, walNamesAmong } from '../../postgres/wal-name.ts';
import { fsyncPath, systemErrorCode } from '../../system/durable.ts';
import { removeFile, rmdir } from '../../system/files.ts';
import { readStarts } from '../archive/contents.ts';
import { segmentSizeOf } from '../archive/judge.ts';
import { earlierOf, keptFrom } from '../archive/keep/kept-from.ts';
import { isSuperseded, olderThan } from '../archive/older.ts';
import { type Archive, requireArchive } from '../archive/own-archive.ts';
import type { ActionOptions, StandbyDeps } from '../deps.ts';
import type { OwnSlot } from '../host/backup-record/record.ts';
import { noteOwnCommand } from '../host/own-command.ts';
import {
  type DataDirectory,
  readDataDirectory,
  refuseIncompleteCopy,
  wasInRecovery,
} from '../server/data-directory.ts';
import { serverOf } from '../server/server.ts';
import { dropLeftSlots, leftSlotsOf } from '../slot/left-slots.ts';
import { perform } from '../steps/carry-out.ts';
import { when } from '../steps/objections.ts';
import type { StepEntry, StepTable } from '../steps/step-table.ts';

export interface CleanupFacts {
  readonly directory: Pick<
    DataDirectory,
    'pgdata' | 'capabilities' | 'control' | 'controlProblem' | 'backupLabel' | 'record'
  >;
  readonly files: readonly WalName[];
  readonly layout: WalLayout;
  readonly numarchives: number;
  readonly superseded: readonly Superseded[];
  /** WAL from here on is what the standby's replication slot waits for; undefined if it has none. */
  readonly keptFrom: bigint | undefined;
  /** Slots on other servers by which this standby streams no more. */
  readonly leftSlots: readonly OwnSlot[];
}

/** A directory in archivedir with WAL that an earlier base backup on this host made unnecessary. */
export interface Superseded {
  readonly directory: string;
  readonly files: readonly WalName[];
  /** Whether the directory contains foreign files. */
  readonly hasOthers: boolean;
}

/** `name` is relative to archivedir. */
export type CleanupStep =
  | { readonly kind: 'remove'; readonly name: string }
  | { readonly kind: 'remove-directory'; readonly name: string }
  | {
      readonly kind: 'drop-left-slots';
      readonly slots: readonly OwnSlot[];
      readonly capabilities: Capabilities;
    };

/** The first segment that the server in pgdata would replay. It never reads anything older. */
function firstNeeded({ directory, layout }: CleanupFacts): SegmentName {
  const { backupLabel, control, pgdata } = directory;
  if (control === undefined) {
    throw refusal(`cannot determine which WAL "${pgdata}" needs; nothing was removed`, {
      detail: directory.controlProblem,
    });
  }
  if (backupLabel !== undefined) return backupLabel.startSegment;
  if (wasInRecovery(control)) return segmentContaining(control.timeline, control.redoLsn, layout);
  throw refusal(
    `"${pgdata}" holds neither a base backup nor a standby: which WAL is needed cannot be determined; nothing was removed`,
    { detail: `The server was last ${control.state.replaceAll('-', ' ')}.` },
  );
}

/** WAL that the slot was not advanced over must stay, too: it proves that the WAL behind it has arrived. */
function firstWanted(facts: CleanupFacts): SegmentName {
  const { keptFrom, layout } = facts;
  const needed = firstNeeded(facts);
  return keptFrom === undefined ? needed : earlierOf(needed, keptFrom, layout);
}

/** The steps for a directory of superseded WAL. The directory itself is removed if it is empty afterwards. */
function supersededSteps(
  { directory, files, hasOthers }: Superseded,
  needed: SegmentName,
  layout: WalLayout,
): readonly CleanupStep[] {
  const steps: CleanupStep[] = [...olderThan(files, needed, layout)]
    .sort(compareWalNames)
    .map(({ text: name }) => ({ kind: 'remove', name: `${directory}/${name}` }));
  if (hasOthers || steps.length < files.length) return steps;
  return [...steps, { kind: 'remove-directory', name: directory }];
}

/** Removes unnecessary WAL, oldest first. At least `numarchives` segments always stay in archivedir. */
export function planCleanup(facts: CleanupFacts): readonly CleanupStep[] {
  const { files, layout, numarchives, leftSlots: slots, directory } = facts;
  const { capabilities, record } = directory;
  const drops = when(slots.length > 0, { kind: 'drop-left-slots' as const, slots, capabilities });
  // Which WAL a promoted server needs is not known. The slots that it has left elsewhere keep WAL there all the same.
  if (record.promotedAtTimeline !== undefined && drops.length > 0) return drops;
  const needed = firstWanted(facts);
  let mayGo = Math.max(0, files.filter(({ kind }) => kind === 'segment').length - numarchives);
  const steps = facts.superseded.flatMap((superseded) => supersededSteps(superseded, needed, layout));
  for (const name of [...olderThan(files, needed, layout)].sort(compareWalNames)) {
    if (name.kind === 'segment' && mayGo-- <= 0) break;
    steps.push({ kind: 'remove', name: name.text });
  }
  return [...steps, ...drops];
}

/**
 * The size according to the record or to pg_control, whose cluster is that of the archive, or according to the archived segments if
 * they all agree.
 */
export async function segmentSize(
  { record, control }: Pick<DataDirectory, 'record' | 'control'>,
  archive: Pick<Archive, 'directory' | 'files'>,
): Promise<number> {
  const known = record.backup?.segmentSize ?? control?.walSegmentSize;
  const starts = known === undefined ? await readStarts(archive.directory, archive.files) : [];
  const found = segmentSizeOf(known, starts);
  if (found?.isSure === true) return found.size;
  throw refusal(
    `cannot determine the size of a WAL segment from what is in "${archive.directory}"; nothing was removed`,
  );
}

/** Two --cleanup may run at once: what one of them has removed is as the other one wants it. */
function unlessGone(error: unknown): undefined {
  if (systemErrorCode(error) !== 'ENOENT') throw error;
}

export async function readSuperseded(archivedir: string, directory: string): Promise<Superseded | undefined> {
  const names = await readdir(join(archivedir, directory)).catch(unlessGone);
  if (names === undefined) return undefined;
  const files = walNamesAmong(names);
  return { directory, files, hasOthers: files.length < names.length };
}

async function findSuperseded(archivedir: string): Promise<readonly Superseded[]> {
  const entries = await readdir(archivedir, { withFileTypes: true });
  const directories = entries.filter((entry) => entry.isDirectory() && isSuperseded(entry.name));
  const found = await Promise.all(directories.map(({ name }) => readSuperseded(archivedir, name)));
  return found.filter((superseded) => superseded !== undefined);
}

async function observe(deps: StandbyDeps, isDry: boolean): Promise<CleanupFacts> {
  const { settings } = deps;
  await refuseIncompleteCopy(settings.pgdata);
  const directory = await readDataDirectory(settings.pgdata);
  const archive = await requireArchive(settings.archivedir, directory);
  const kept = await keptFromHere(deps, directory, isDry);
  const layout = {
    segmentSize: await segmentSize(directory, archive),
    walSegmentSkipsFF: directory.capabilities.walSegmentSkipsFF,
  };
  const superseded = await findSuperseded(archive.directory);
  return {
    directory,
    files: archive.files,
    layout,
    numarchives: settings.numarchives,
    superseded,
    keptFrom: kept,
    leftSlots: leftSlotsOf(deps, directory),
  };
}

/** Without the slot's location, what it waits for could be removed from the archive, and it would wait forever. */
async function keptFromHere(
  deps: StandbyDeps,
  directory: DataDirectory,
  isDry: boolean,
): Promise<bigint | undefined> {
  const kept = await keptFrom(deps, directory, isDry);
  if (kept.kind !== 'unknown') return kept.from;
  throw refusal(`cannot ask replication slot "${keptSlot}" which WAL it waits for; nothing was removed`, {
    detail: kept.reason,
    hint: 'The standby must run and answer queries: cmd_standby -C … -S',
  });
}

function removal(remove: (path: string) => Promise<void>): StepEntry<{ readonly name: string }, StandbyDeps> {
  return {
    say: ({ name }) => `remove ${name}`,
    run: async ({ settings, report }, { name }) => {
      await remove(join(settings.archivedir, name));
      report(`removed ${name}`);
    },
  };
}

export const cleanupSteps: StepTable<CleanupStep, StandbyDeps> = {
  remove: removal(removeFile),
  'remove-directory': removal((path) => rmdir(path).catch(unlessGone)),
  'drop-left-slots': {
    say: ({ slots }) =>
      `drop replication slots by which this standby streams no more: ${slots.map(({ name, host }) => `"${name}" on ${host}`).join(', ')}`,
    run: (deps, { slots, capabilities }) => dropLeftSlots(serverOf(deps, capabilities), slots),
  },
};

/** `--cleanup`: removes WAL from archivedir that is provably unnecessary. */
export async function cleanUpArchive(deps: StandbyDeps, options: ActionOptions): Promise<number> {
  const { archivedir } = deps.settings;
  const steps = planCleanup(await observe(deps, options.dryRun));
  if (!options.dryRun) await noteOwnCommand(deps);
  if (!(await perform(deps, options, steps, cleanupSteps, deps))) return 0;
  await fsyncPath(archivedir);
  const files = steps.filter(({ kind }) => kind === 'remove');
  deps.report(`${files.length} files removed from ${archivedir}`);
  return 0;
}
