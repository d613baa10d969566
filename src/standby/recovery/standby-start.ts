/** The start of a standby: -S, and a change of roles that ends with one. */
import { join } from 'node:path';
import { PitrError } from '../../errors.ts';
import { keptSlot } from '../../postgres/kept-slot.ts';
import type { LowLimit } from '../../postgres/standby-limits.ts';
import { exists } from '../../system/durable.ts';
import { keepStreamedWalAside } from '../archive/keep/keep.ts';
import { removeSlot } from '../archive/keep/leftover.ts';
import { hasKeptSlot } from '../archive/keep/slot.ts';
import { type Keeping, makeSlotOnStart, observeKeeping, sayNotKept } from '../archive/keep/start.ts';
import { type Archive, requireArchive } from '../archive/own-archive.ts';
import type { OwnSlot } from '../host/backup-record/record.ts';
import { type ConfCopy, planConfCopies } from '../host/conf-files.ts';
import { noteOwnCommand } from '../host/own-command.ts';
import { describeWithdrawal, findOwnMarks, withdrawOwnMarks } from '../host/own-marks.ts';
import type { DataDirectory } from '../server/data-directory.ts';
import type { FoundServer } from '../server/find-server.ts';
import { limitObjectionsOf, observeLowLimits } from '../server/limits.ts';
import { serverLogTail } from '../server/local-server.ts';
import { mustRecover } from '../server/reach.ts';
import { readConfiguration, type ServerConfiguration } from '../server/server-configuration.ts';
import { waitUntilStreaming } from '../server/streaming.ts';
import { dropSlotsOfNoPromotion } from '../slot/for-others.ts';
import { dropLeftSlots, takeSlotBack } from '../slot/left-slots.ts';
import { leftSlots, noteOwnSlot } from '../slot/notes.ts';
import { makeOwnSlot, noSlot, ownSlotObjections, type SlotFact } from '../slot/own-slot.ts';
import { noForce } from '../steps/force.ts';
import { type Objection, refuseOn, runningObjection, when } from '../steps/objections.ts';
import { type ServerContext, serverStep, serverSteps } from '../steps/server-steps.ts';
import type { StepsOf } from '../steps/step-table.ts';
import { writeRecoverySettings } from './files.ts';
import { removeGuard } from './guard.ts';
import { newBackup, noStandbyObjections } from './no-standby.ts';
import { iniDelayOf, presentTriggerFile, recoveryPlace, streamingOf } from './place.ts';
import { type RecoverySettings, recoverySettings } from './settings.ts';

export interface StartFacts extends Omit<FoundServer, 'server'> {
  readonly archive: Archive;
  readonly configuration: ServerConfiguration;
  readonly copies: readonly ConfCopy[];
  readonly settings: RecoverySettings;
  readonly streams: boolean;
  /** A delayed standby replays commits late, and streams only once it has come to the end of its archive. */
  readonly isDelayed: boolean;
  /** A file that would promote the standby as soon as it runs. */
  readonly triggerFile: string | undefined;
  /** Whether the first segment that the base backup needs is available. */
  readonly hasFirstSegment: boolean;
  /** Settings that are lower here than pg_control demands. */
  readonly lowLimits: readonly LowLimit[];
  readonly keeping: Keeping;
  /** A replication slot of ours, from an earlier run of this standby. */
  readonly hasKeptSlot: boolean;
  /** The slot on the primary by which it streams. */
  readonly slot: SlotFact;
  /** Slots of this standby by which it streams no more. */
  readonly leftSlots: readonly OwnSlot[];
  /** The l_archivedir of this host, if marks of its promotion stand there. */
  readonly ownMarks?: string | undefined;
}

export function archiveObjections({
  archive,
  directory,
  streams,
  hasFirstSegment: isThere,
}: StartFacts): readonly Objection[] {
  const { promotedAtTimeline: promoted } = archive.sentinel;
  return [
    ...when(promoted !== undefined, {
      message: `archivedir "${archive.directory}" is marked as promoted at timeline ${promoted ?? 0}`,
      hint: newBackup,
    }),
    ...when(!isThere && !streams, {
      message: `WAL segment ${directory.backupLabel?.startSegment.text ?? ''}, with which the base backup begins, is neither in "${archive.directory}" nor in pgdata`,
      hint: newBackup,
    }),
  ];
}

/** All objections to -S. */
function listStartObjections(facts: StartFacts): readonly Objection[] {
  const { directory, postmaster, slot } = facts;
  // If a server runs on pgdata, nothing else is examined.
  if (postmaster.kind === 'running') return [runningObjection(directory, postmaster.pid)];
  return [
    ...noStandbyObjections(directory),
    ...archiveObjections(facts),
    ...settingObjections(facts),
    ...ownSlotObjections(slot, directory.control?.systemIdentifier),
  ];
}

/** Objections to what is configured for a standby. */
export function settingObjections(facts: StartFacts): readonly Objection[] {
  const { triggerFile } = facts;
  return [
    ...limitObjectionsOf(facts.lowLimits, facts.configuration),
    ...when(triggerFile !== undefined, {
      message: `the trigger file "${triggerFile ?? ''}" is there: the standby would be promoted as soon as it runs`,
      hint: `Remove it: rm ${triggerFile ?? ''}`,
    }),
  ];
}

export function planStartStandby(facts: StartFacts): readonly StartStep[] {
  refuseOn(listStartObjections(facts), noForce);
  return [
    ...slotSteps(facts.slot),
    ...preparingSteps(facts),
    { kind: 'start-server', configuration: facts.configuration },
    { kind: 'see-it-recover' },
    ...when(facts.streams && !facts.isDelayed, { kind: 'see-it-stream' }),
    ...leftSlotSteps(facts),
    ...keepingSteps(facts),
  ];
}

/** Before the standby streams by it. */
export function slotSteps(slot: SlotFact): readonly StartStep[] {
  if (slot.kind === 'none') return [];
  return [{ kind: slot.kind === 'asked' ? 'make-slot' : 'note-slot', name: slot.name }];
}

/** Once it streams without them; and once it runs as a standby, those of a promotion that did not happen. */
export function leftSlotSteps({ leftSlots: slots, directory }: StartFacts): readonly StartStep[] {
  const names = (directory.record.slotsForOthers ?? []).map(({ name }) => name);
  return [
    ...when(slots.length > 0, { kind: 'drop-left-slots' as const, slots }),
    ...when(names.length > 0, { kind: 'drop-made-slots' as const, names }),
  ];
}

/** Everything up to the start of the server. */
export function preparingSteps(facts: StartFacts): readonly StartStep[] {
  return [
    ...facts.copies.map((copy) => ({ kind: 'copy-conf', copy }) as const),
    ...when(facts.archive.sentinel.command === undefined, { kind: 'note-command' }),
    { kind: 'write-settings', settings: facts.settings, streams: facts.streams },
    ...(facts.ownMarks === undefined ? [] : [{ kind: 'withdraw-marks', directory: facts.ownMarks } as const]),
    ...when(facts.hasKeptSlot && facts.keeping.kind !== 'slot', { kind: 'remove-slot' }),
  ];
}

/** A standby that follows its primary keeps the WAL that its archive lacks. */
export function keepingSteps({ keeping }: StartFacts): readonly StartStep[] {
  return when(keeping.kind === 'slot', { kind: 'keep-streamed' });
}

async function hasFirstSegment(directory: DataDirectory, archive: Archive): Promise<boolean> {
  const name = directory.backupLabel?.startSegment.text;
  if (name === undefined || archive.files.some((file) => file.text === name)) return true;
  return exists(join(directory.pgdata, directory.capabilities.walDirName, name));
}

/** @param made an archive that is still to be made */
export async function observeStart(
  { server, directory, postmaster }: FoundServer,
  made?: Archive,
): Promise<StartFacts> {
  const { deps, capabilities } = server;
  const { settings } = deps;
  const archive = made ?? (await requireArchive(settings.archivedir, directory));
  const configuration = await readConfiguration(server, 'standby');
  const streaming = streamingOf(server, directory.record);
  const place = await recoveryPlace(server, configuration);
  const delay = iniDelayOf(server);
  const recovery = recoverySettings(capabilities, { kind: 'standby', streaming, delay }, place);
  const keeping = await observeKeeping(server, configuration, recovery);
  return {
    directory,
    postmaster,
    archive,
    configuration,
    copies: await planConfCopies(settings, 'standby'),
    settings: recovery,
    keeping,
    hasKeptSlot: await hasKeptSlot(settings.pgdata),
    slot: noSlot,
    leftSlots: leftSlots(deps, directory.record.ownSlots ?? [], streaming?.slot),
    ownMarks: await findOwnMarks(deps),
    streams: streaming !== undefined,
    isDelayed: delay !== undefined || place.ownDelay,
    triggerFile: streaming === undefined ? undefined : await presentTriggerFile(server),
    hasFirstSegment: await hasFirstSegment(directory, archive),
    // A running server is refused anyway.
    lowLimits:
      postmaster.kind === 'running'
        ? []
        : await observeLowLimits({ server, configuration, state: { kind: 'stopped' } }),
  };
}

function describeSettings(settings: RecoverySettings): string {
  const names = [...settings.recoveryConf.keys(), ...settings.parameters.keys()].join(', ');
  return settings.signal === undefined ? names : `${names}; and ${settings.signal}`;
}

export const startSteps = {
  ...serverSteps,
  'write-settings': serverStep<{ readonly settings: RecoverySettings; readonly streams: boolean }>({
    say: ({ settings, streams }) =>
      `write the recovery settings (${streams ? 'streaming, with the archive to fall back on' : 'from the archive'}): ${describeSettings(settings)}`,
    run: async ({ server }, { settings }) => {
      await removeGuard(server.pgdata);
      await writeRecoverySettings(server, 'standby', settings);
    },
  }),
  'note-command': serverStep({
    say: () => 'note in the archive how cmd_standby is called here, so that other hosts can ask it',
    run: ({ server }) => noteOwnCommand(server.deps),
  }),
  'withdraw-marks': serverStep<{ readonly directory: string }>({
    say: ({ directory }) => describeWithdrawal(directory),
    run: ({ server }, { directory }) => withdrawOwnMarks(server.deps, directory),
  }),
  'see-it-recover': serverStep({
    ...serverSteps['see-it-recover'],
    run: (context) =>
      mustRecover(context, {
        mayBeOpen: false,
        message: 'the standby was started, but is not seen recovering',
      }),
  }),
  'remove-slot': serverStep({
    say: () => `drop replication slot "${keptSlot}" of an earlier run: nothing would advance it`,
    run: ({ server }) => removeSlot(server),
  }),
  'keep-streamed': serverStep({
    say: () =>
      `have replication slot "${keptSlot}" here, so that WAL which the archive lacks stays in pg_wal`,
    run: async ({ server }) => {
      sayNotKept(server, await makeSlotOnStart(server));
    },
  }),
  'make-slot': serverStep<{ readonly name: string }>({
    say: ({ name }, { server }) =>
      `have replication slot "${name}" on ${server.deps.settings.master_public_ip}, which keeps WAL for this standby`,
    run: async (context, { name }) => {
      context.hasMadeSlot = await makeOwnSlot(context.server, name);
    },
    undo: async ({ server, hasMadeSlot }, { name }) => {
      if (hasMadeSlot === true) await takeSlotBack(server, name);
    },
  }),
  'note-slot': serverStep<{ readonly name: string }>({
    say: ({ name }) => `record that this standby streams by replication slot "${name}": -P makes it`,
    run: ({ server }, { name }) => noteOwnSlot(server, name),
  }),
  'drop-left-slots': serverStep<{ readonly slots: readonly OwnSlot[] }>({
    say: ({ slots }) =>
      `drop replication slots by which this standby streams no more: ${slots.map(({ name, host }) => `"${name}" on ${host}`).join(', ')}`,
    run: ({ server }, { slots }) => dropLeftSlots(server, slots),
  }),
  'drop-made-slots': serverStep<{ readonly names: readonly string[] }>({
    say: ({ names }) =>
      `drop the replication slots here that were made for a promotion which did not happen: ${names.join(', ')}`,
    run: ({ server }) => dropSlotsOfNoPromotion(server),
  }),
  'see-it-stream': serverStep({
    say: () => 'wait until it is seen streaming from the primary',
    run: seeItStream,
  }),
};

export type StartStep = StepsOf<typeof startSteps>;

/**
 * The server keeps running if streaming does not start: it replays the WAL that arrives in the archive, and asks the
 * primary again and again.
 */
async function seeItStream({ server, started }: ServerContext): Promise<void> {
  const seen = await waitUntilStreaming(server, started);
  if (seen.kind === 'done') return;
  const { deps } = server;
  // It may stream later, and the archive may bring WAL until then.
  await keepStreamedWalAside(deps);
  const { master_public_ip: host, port, repl_db_user: user } = deps.settings;
  throw new PitrError('the standby was started and recovers, but it is not seen streaming from the primary', {
    detail: `${seen.reason}; ${await serverLogTail(deps, started)}`,
    hint: `It continues with the WAL that the archive brings, and asks the primary again by itself. Check on ${host} (port ${port}): pg_hba.conf has a line "host replication ${user ?? 'USER'}" for this host, repl_db_password: is right, max_wal_senders is high enough.`,
  });
}
