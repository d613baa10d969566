import { newBackup, noStandbyObjections } from '../recovery/no-standby.ts';
import { join } from 'node:path';
import { PitrError, unreachable } from '../../errors.ts';
import type { LowLimit } from '../../postgres/standby-limits.ts';
import { exists } from '../../system/durable.ts';
import { copyConf, planConfCopies, type ConfCopy } from '../host/conf-files.ts';
import type { ActionOptions, StandbyDeps } from '../deps.ts';
import { notStartedHere, serverLogTail, startServerProgram, type Started } from '../server/local-server.ts';
import { noForce } from '../steps/force.ts';
import { refuseOn, runningObjection, type Objection } from '../steps/objections.ts';
import { carryOut, printPlan, type StepHandler } from '../steps/carry-out.ts';
import type { Postmaster } from '../../system/postmaster.ts';
import { sayWherePrimaryIsHere } from '../primary/primary-is-here.ts';
import { removeGuard } from '../recovery/guard.ts';
import { writeRecoverySettings } from '../recovery/files.ts';
import { recoveryPlace, streamingOf } from '../recovery/place.ts';
import { recoverySettings, type RecoverySettings } from '../recovery/settings.ts';
import { requireArchive, type Archive } from '../archive/own-archive.ts';
import { readDataDirectory, refuseIncompleteCopy, type DataDirectory } from '../server/data-directory.ts';
import { readConfiguration, type ServerConfiguration } from '../server/server-configuration.ts';
import { limitObjectionsOf, observeLowLimits } from '../server/limits.ts';
import { requirePgCtl } from '../server/server-programs.ts';
import { requireClearPostmaster } from '../server/server-state.ts';
import { waitUntilRecovering } from '../server/recovering.ts';
import { waitUntilStreaming } from '../server/streaming.ts';
import { requireExpectedVersion } from '../server/version-check.ts';

export interface StartFacts {
  readonly directory: DataDirectory;
  readonly postmaster: Postmaster;
  readonly archive: Archive;
  readonly configuration: ServerConfiguration;
  readonly copies: readonly ConfCopy[];
  readonly settings: RecoverySettings;
  readonly streams: boolean;
  /** A file whose presence would promote the standby as soon as it runs. */
  readonly triggerFile: string | undefined;
  /** Whether the first segment that the base backup needs is to be had. */
  readonly hasFirstSegment: boolean;
  /** Settings of which the server here has less than its pg_control demands. */
  readonly lowLimits: readonly LowLimit[];
}

export type StartStep =
  | { readonly kind: 'copy-conf'; readonly copy: ConfCopy }
  | { readonly kind: 'write-settings'; readonly settings: RecoverySettings; readonly streams: boolean }
  | { readonly kind: 'start-server'; readonly configuration: ServerConfiguration }
  | { readonly kind: 'see-it-recover' }
  | { readonly kind: 'see-it-stream' };

function archiveObjections({
  archive,
  directory,
  streams,
  hasFirstSegment: isThere,
}: StartFacts): Objection[] {
  const objections: Objection[] = [];
  const { promotedAtTimeline: promoted } = archive.sentinel;
  if (promoted !== undefined)
    objections.push({
      message: `archivedir "${archive.directory}" is marked as promoted at timeline ${promoted}`,
      hint: newBackup,
    });
  if (!isThere && !streams)
    objections.push({
      message: `WAL segment ${directory.backupLabel?.startSegment.name ?? ''}, with which the base backup begins, is neither in "${archive.directory}" nor in pgdata`,
      hint: newBackup,
    });
  return objections;
}

/** All that stands against -S. */
export function listStartObjections(facts: StartFacts): readonly Objection[] {
  const { directory, postmaster, triggerFile } = facts;
  // What else there is to say of a pgdata is said of one that nobody runs on.
  if (postmaster.kind === 'running') return [runningObjection(directory, postmaster.pid)];
  const objections = [
    ...noStandbyObjections(directory),
    ...archiveObjections(facts),
    ...limitObjectionsOf(facts.lowLimits, facts.configuration),
  ];
  if (triggerFile === undefined) return objections;
  return [
    ...objections,
    {
      message: `the trigger file "${triggerFile}" is there: the standby would be promoted as soon as it runs`,
      hint: `Remove it: rm ${triggerFile}`,
    },
  ];
}

export function planStartStandby(facts: StartFacts): readonly StartStep[] {
  refuseOn(listStartObjections(facts), noForce);
  return [
    ...facts.copies.map((copy) => ({ kind: 'copy-conf', copy }) as const),
    { kind: 'write-settings', settings: facts.settings, streams: facts.streams },
    { kind: 'start-server', configuration: facts.configuration },
    { kind: 'see-it-recover' },
    ...(facts.streams ? [{ kind: 'see-it-stream' } as const] : []),
  ];
}

async function hasFirstSegment(directory: DataDirectory, archive: Archive): Promise<boolean> {
  const name = directory.backupLabel?.startSegment.name;
  if (name === undefined || archive.files.some((file) => file.name === name)) return true;
  return exists(join(directory.pgdata, directory.capabilities.walDirName, name));
}

/** A server that runs is refused for that. */
async function lowLimitsBeforeStart(
  deps: StandbyDeps,
  directory: DataDirectory,
  configuration: ServerConfiguration,
  postmaster: Postmaster,
): Promise<readonly LowLimit[]> {
  if (postmaster.kind === 'running') return [];
  return observeLowLimits(deps, { directory, configuration, state: { kind: 'stopped' } });
}

async function observe(deps: StandbyDeps): Promise<StartFacts> {
  const { settings } = deps;
  const postmaster = await requireClearPostmaster(deps);
  await refuseIncompleteCopy(settings.pgdata);
  const directory = await readDataDirectory(settings.pgdata);
  const { capabilities } = directory;
  requireExpectedVersion(settings, capabilities);
  if (settings.start_command === undefined) await requirePgCtl(deps, capabilities);
  const archive = await requireArchive(settings.archivedir, directory);
  const configuration = await readConfiguration(settings, 'standby', capabilities.version.major);
  const streaming = streamingOf(deps, capabilities);
  const place = await recoveryPlace(deps, capabilities, configuration);
  const trigger = capabilities.triggerFile === undefined ? undefined : streaming?.triggerFile;
  return {
    directory,
    postmaster,
    archive,
    configuration,
    copies: await planConfCopies(settings, 'standby'),
    settings: recoverySettings(capabilities, { kind: 'standby', streaming }, place),
    streams: streaming !== undefined,
    triggerFile: trigger !== undefined && (await exists(trigger)) ? trigger : undefined,
    hasFirstSegment: await hasFirstSegment(directory, archive),
    lowLimits: await lowLimitsBeforeStart(deps, directory, configuration, postmaster),
  };
}

function describeSettings(settings: RecoverySettings): string {
  const names = [...settings.recoveryConf.keys(), ...settings.parameters.keys()].join(', ');
  return settings.signal === undefined ? names : `${names}; and ${settings.signal}`;
}

export function describeStartStep(step: StartStep): string {
  switch (step.kind) {
    case 'copy-conf':
      return `copy ${step.copy.from} (${step.copy.key}) to ${step.copy.to}`;
    case 'write-settings':
      return `write the recovery settings (${step.streams ? 'streaming, with the archive to fall back on' : 'from the archive'}): ${describeSettings(step.settings)}`;
    case 'start-server':
      return `start the server with ${step.configuration.configFile}`;
    case 'see-it-recover':
      return 'wait until it is seen recovering';
    case 'see-it-stream':
      return 'wait until it is seen streaming from the primary';
    default:
      return unreachable(step);
  }
}

function startHandler(deps: StandbyDeps, directory: DataDirectory): StepHandler<StartStep> {
  let started: Started = notStartedHere;
  return {
    describe: describeStartStep,
    run: async (step) => {
      switch (step.kind) {
        case 'copy-conf':
          return copyConf(deps, step.copy);
        case 'write-settings':
          await removeGuard(directory.pgdata);
          return writeRecoverySettings(deps, directory, 'standby', step.settings);
        case 'start-server':
          started = await startServerProgram(deps, directory.capabilities, step.configuration);
          return;
        case 'see-it-recover':
          return seeItRecover(deps, directory, started);
        case 'see-it-stream':
          return seeItStream(deps, directory, started);
      }
    },
  };
}

async function seeItRecover(deps: StandbyDeps, directory: DataDirectory, started: Started): Promise<void> {
  const seen = await waitUntilRecovering(deps, directory.capabilities, started);
  if (seen.kind === 'done' && seen.value === 'recovering') return;
  const reason = seen.kind === 'failed' ? seen.reason : 'it is out of recovery: it has been promoted';
  throw new PitrError('the standby was started, but is not seen recovering', {
    detail: `${reason}; ${await serverLogTail(deps, started)}`,
    hint: 'The reason stands in the server log.',
  });
}

/** The server stays as it is: what the archive brings it replays, and it asks the primary again and again. */
async function seeItStream(deps: StandbyDeps, directory: DataDirectory, started: Started): Promise<void> {
  const seen = await waitUntilStreaming(deps, directory.capabilities, started);
  if (seen.kind === 'done') return;
  const { master_public_ip: host, port, repl_db_user: user } = deps.settings;
  throw new PitrError('the standby was started and recovers, but it is not seen streaming from the primary', {
    detail: `${seen.reason}; ${await serverLogTail(deps, started)}`,
    hint: `It goes on with what the archive brings, and asks the primary again by itself. Check on ${host} (port ${port}): pg_hba.conf has a line "host replication ${user ?? 'USER'}" for this host, repl_db_password: is right, max_wal_senders is high enough.`,
  });
}

/** `-S`: starts the standby, warm or hot, on the base backup that is here. */
export async function startStandby(deps: StandbyDeps, options: ActionOptions): Promise<number> {
  await sayWherePrimaryIsHere(deps);
  const facts = await observe(deps);
  const steps = planStartStandby(facts);
  const handler = startHandler(deps, facts.directory);
  if (options.dryRun) {
    printPlan(deps, steps, handler);
    return 0;
  }
  await carryOut(deps, steps, handler);
  deps.log.notice('check_pgpid_func()');
  deps.report('Successfully entered standby mode');
  return 0;
}
