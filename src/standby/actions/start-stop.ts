import { PitrError, unreachable } from '../../errors.ts';
import type { ActionOptions, StandbyDeps } from '../deps.ts';
import {
  notStartedHere,
  serverLogTail,
  startServerProgram,
  stopServerProgram,
  type Started,
} from '../server/local-server.ts';
import { noForce, type Force } from '../steps/force.ts';
import { refuseOn, runningObjection, sayOverruled, type Objection } from '../steps/objections.ts';
import { carryOut, printPlan, type StepHandler } from '../steps/carry-out.ts';
import type { Postmaster } from '../../system/postmaster.ts';
import { hasRecord } from '../backup-record/record.ts';
import {
  readCapabilities,
  readDataDirectory,
  refuseIncompleteCopy,
  type DataDirectory,
} from '../server/data-directory.ts';
import { waitUntilRecovering } from '../server/recovering.ts';
import { readConfiguration, type ServerConfiguration } from '../server/server-configuration.ts';
import { requirePgCtl } from '../server/server-programs.ts';
import { observeServer, requireClearPostmaster, type ServerState } from '../server/server-state.ts';
import { requireExpectedVersion } from '../server/version-check.ts';
import { isInFailoverConfiguration } from '../recovery/unfinished-failover.ts';

type ControlStep =
  | { readonly kind: 'start-server'; readonly configuration: ServerConfiguration }
  | { readonly kind: 'stop-server'; readonly pid: number }
  | { readonly kind: 'see-it-run' };

export interface ControlFacts {
  readonly directory: DataDirectory;
  readonly postmaster: Postmaster;
  readonly configuration: ServerConfiguration;
}

/** A base backup, or a standby, that is not told to recover would come up as a copy that goes its own way. */
function unpreparedObjections(directory: DataDirectory): readonly Objection[] {
  const { backupLabel, control, signals, pgdata, record, controlProblem = '' } = directory;
  if (control === undefined) return [{ message: `cannot start on "${pgdata}": ${controlProblem}` }];
  if (record.settings?.mode === 'held')
    return [
      {
        message: `an interrupted recovery is on hold in "${pgdata}": -A start cannot continue it`,
        hint: 'To continue as a standby: -S. To its target, or to another one: -F999 with a target. To the end of the WAL: -F999.',
      },
    ];
  if (signals.standby || signals.recovery || signals.recoveryConf) return [];
  const recovers = control.state === 'in-archive-recovery' || control.state === 'shut-down-in-recovery';
  if (backupLabel === undefined && !recovers) return [];
  return [
    {
      message: `"${pgdata}" holds a standby, or a base backup, that has not been told how to recover`,
      hint: 'Start it as a standby: cmd_standby -C … -S',
    },
  ];
}

export function planStart(facts: ControlFacts): readonly ControlStep[] {
  const { directory, postmaster, configuration } = facts;
  const objections =
    postmaster.kind === 'running'
      ? [runningObjection(directory, postmaster.pid)]
      : unpreparedObjections(directory);
  refuseOn(objections, noForce);
  return [{ kind: 'start-server', configuration }, { kind: 'see-it-run' }];
}

export interface StopFacts {
  readonly pgdata: string;
  readonly postmaster: Postmaster;
  /** What the server does, where it bears no record of ours; undefined for one that does. */
  readonly foreignState: ServerState | undefined;
  readonly force: Force;
}

/** A standby that another tool made may be stopped; a server that may take writes is one that nobody gave into our hands. */
export function listStopObjections({ pgdata, postmaster, foreignState }: StopFacts): readonly Objection[] {
  if (foreignState === undefined || postmaster.kind !== 'running') return [];
  if (foreignState.kind === 'recovering' || foreignState.kind === 'stopped') return [];
  const what = foreignState.kind === 'production' ? 'is in production' : 'is not known to be a standby';
  return [
    {
      name: 'production',
      message: `the server in "${pgdata}" (pid ${postmaster.pid}) ${what} and bears no record of -B, -S or -F999`,
      hint: 'This host may be the primary: cmd_standby is run on the standby.',
      cost: 'it is stopped',
    },
  ];
}

export function planStop(facts: StopFacts): readonly ControlStep[] {
  refuseOn(listStopObjections(facts), facts.force);
  const { postmaster } = facts;
  return postmaster.kind === 'running' ? [{ kind: 'stop-server', pid: postmaster.pid }] : [];
}

async function seeItRun(deps: StandbyDeps, directory: DataDirectory, started: Started): Promise<void> {
  const seen = await waitUntilRecovering(deps, directory.capabilities, started);
  if (seen.kind === 'failed') {
    throw new PitrError('the server was started, but is not seen running', {
      detail: `${seen.reason}; ${await serverLogTail(deps, started)}`,
      hint: 'The reason stands in the server log.',
    });
  }
  deps.report(seen.value === 'recovering' ? 'server started as a standby' : 'server started');
}

type Directory = Pick<DataDirectory, 'capabilities'>;

function describe(step: ControlStep): string {
  switch (step.kind) {
    case 'start-server':
      return `start the server with ${step.configuration.configFile}`;
    case 'stop-server':
      return `stop the server (pid ${step.pid}) fast, and wait for its end`;
    case 'see-it-run':
      return 'wait until it is seen recovering or serving';
    default:
      return unreachable(step);
  }
}

function stopHandler(deps: StandbyDeps, { capabilities }: Directory): StepHandler<ControlStep> {
  return {
    describe,
    run: async (step) => {
      if (step.kind === 'stop-server') await stopServerProgram(deps, capabilities);
    },
  };
}

function startHandler(deps: StandbyDeps, directory: DataDirectory): StepHandler<ControlStep> {
  let started: Started = notStartedHere;
  return {
    describe,
    run: async (step) => {
      if (step.kind === 'start-server')
        started = await startServerProgram(deps, directory.capabilities, step.configuration);
      else await seeItRun(deps, directory, started);
    },
  };
}

/** `-A start`: starts the server in whatever mode its data directory says. */
export async function startServer(deps: StandbyDeps, options: ActionOptions): Promise<number> {
  const { settings } = deps;
  const postmaster = await requireClearPostmaster(deps);
  await refuseIncompleteCopy(settings.pgdata);
  const directory = await readDataDirectory(settings.pgdata);
  const { capabilities, record } = directory;
  requireExpectedVersion(settings, capabilities);
  if (settings.start_command === undefined) await requirePgCtl(deps, capabilities);
  const role = isInFailoverConfiguration(record) ? 'failover' : 'standby';
  const configuration = await readConfiguration(settings, role, capabilities.version.major);
  const steps = planStart({ directory, postmaster, configuration });
  const handler = startHandler(deps, directory);
  if (options.dryRun) printPlan(deps, steps, handler);
  else await carryOut(deps, steps, handler);
  return 0;
}

/** `-A stop`: ends the server fast, and says so only when no process of it is left. */
export async function stopServer(deps: StandbyDeps, options: ActionOptions): Promise<number> {
  const postmaster = await requireClearPostmaster(deps);
  const capabilities = await readCapabilities(deps.settings.pgdata);
  const { pgdata } = deps.settings;
  const facts: StopFacts = {
    pgdata,
    postmaster,
    foreignState: (await hasRecord(pgdata)) ? undefined : await observeServer(deps, capabilities),
    force: options.force,
  };
  const steps = planStop(facts);
  sayOverruled(deps, listStopObjections(facts), options.force);
  const handler = stopHandler(deps, { capabilities });
  if (options.dryRun) {
    printPlan(deps, steps, handler);
    return 0;
  }
  await carryOut(deps, steps, handler);
  deps.report(steps.length === 0 ? 'server is not running' : 'server stopped');
  return 0;
}
